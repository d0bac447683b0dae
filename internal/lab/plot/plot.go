// Package plot draws line charts as SVG: enough for distributions and for time series, in light and in dark pages.
package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Chart is a picture of lines over one pair of axes, both of which begin at zero.
type Chart struct {
	Title string
	X, Y  Axis
	Lines []Line
}

// Axis is one side of a chart.
type Axis struct {
	Label string
	Max   float64 // where it ends; zero: at the largest value
}

// Line is a polygonal line from point to point.
type Line struct {
	Name   string
	Points []Point
}

// Point is a place in the units of the axes.
type Point struct{ X, Y float64 }

// The picture in pixels.
const (
	width, height           = 640, 360
	left, right, top, under = 60, 20, 36, 48
	ticks                   = 6 // at most, on each axis
)

// colors are those of M. Okabe, K. Ito, "Color Universal Design", which nearly everybody can tell apart.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

const style = `text{font:12px sans-serif;fill:#444}.a{stroke:#888;stroke-width:1}.g{stroke:#8884;stroke-width:1}` +
	`@media(prefers-color-scheme:dark){text{fill:#ccc}}`

// Write draws the chart.
func (c *Chart) Write(w io.Writer) error {
	x, y := c.X.over(c.Lines, func(p Point) float64 { return p.X }), c.Y.over(c.Lines, func(p Point) float64 { return p.Y })
	place := func(p Point) (float64, float64) {
		return left + p.X/x*(width-left-right), height - under - p.Y/y*(height-top-under)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"><style>%s</style>`+"\n",
		width, height, width, height, style)
	text(&b, width/2, top/2, "middle", c.Title)
	text(&b, width/2, height-10, "middle", c.X.Label)
	fmt.Fprintf(&b, `<g transform="translate(14 %d) rotate(-90)">`, height/2)
	text(&b, 0, 0, "middle", c.Y.Label)
	b.WriteString("</g>\n")
	for v := range steps(x) {
		at, _ := place(Point{X: v})
		segment(&b, "g", at, top, at, height-under)
		text(&b, at, height-under+16, "middle", number(v))
	}
	for v := range steps(y) {
		_, at := place(Point{Y: v})
		segment(&b, "g", left, at, width-right, at)
		text(&b, left-6, at+4, "end", number(v))
	}
	segment(&b, "a", left, height-under, width-right, height-under)
	segment(&b, "a", left, top, left, height-under)
	for i := range c.Lines {
		c.line(&b, i, x, y, place)
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// line draws one line as far as it is within the axes, and its name.
func (c *Chart) line(b *bytes.Buffer, i int, x, y float64, place func(Point) (float64, float64)) {
	color := colors[i%len(colors)]
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, color)
	for _, p := range c.Lines[i].Points {
		if !(p.X >= 0 && p.X <= x && p.Y >= 0) {
			continue
		}
		px, py := place(Point{p.X, min(p.Y, y)})
		fmt.Fprintf(b, "%.1f,%.1f ", px, py)
	}
	b.WriteString("\"/>\n")
	at := float64(top + 16 + 18*i)
	fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`,
		width-right-150, width-right-130, at-4, at-4, color)
	text(b, width-right-124, at, "start", c.Lines[i].Name)
}

// over is where an axis ends.
func (a *Axis) over(lines []Line, of func(Point) float64) float64 {
	if a.Max > 0 {
		return a.Max
	}
	most := 0.0
	for _, l := range lines {
		for _, p := range l.Points {
			if v := of(p); !math.IsInf(v, 0) {
				most = max(most, v)
			}
		}
	}
	if most == 0 {
		return 1
	}
	return most
}

// steps are round values along an axis, at the widest that show it in enough places.
func steps(most float64) func(func(float64) bool) {
	step := math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, by := range []float64{2, 2.5, 2, 2} {
		if most/step <= ticks {
			break
		}
		step *= by
	}
	return func(yield func(float64) bool) {
		for i := 0; float64(i)*step <= most*(1+1e-9); i++ {
			if !yield(float64(i) * step) {
				return
			}
		}
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func segment(b *bytes.Buffer, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func text[N int | float64](b *bytes.Buffer, x, y N, anchor, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">`, float64(x), float64(y), anchor)
	_ = xml.EscapeText(b, []byte(s)) // a Buffer takes everything
	b.WriteString("</text>\n")
}
