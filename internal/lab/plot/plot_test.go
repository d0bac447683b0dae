package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func draw(t *testing.T, c Chart) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, b.String())
		}
	}
	return b.String()
}

func TestPointsAreWhereTheAxesPutThem(t *testing.T) {
	svg := draw(t, Chart{X: Axis{Max: 10}, Y: Axis{Max: 2}, Lines: []Line{{Points: []Point{{0, 0}, {10, 2}, {5, 1}}}}})
	if !strings.Contains(svg, `points="60.0,312.0 620.0,36.0 340.0,174.0 "`) {
		t.Errorf("the corners and the middle are elsewhere:\n%s", svg)
	}
}

func TestWhatIsBeyondAnAxisIsNotDrawnOutside(t *testing.T) {
	svg := draw(t, Chart{X: Axis{Max: 1}, Y: Axis{Max: 1}, Lines: []Line{{Points: []Point{
		{-1, 0}, {2, 0}, {0.5, 9}, {0.5, math.NaN()}, {math.Inf(1), 0},
	}}}})
	if !strings.Contains(svg, `points="340.0,36.0 "`) {
		t.Errorf("not only the point that is too high is drawn, at the upper edge:\n%s", svg)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	if svg := draw(t, Chart{Title: "a <b> & c", Lines: []Line{{Name: "<script>"}}}); strings.Contains(svg, "<script>") {
		t.Error(svg)
	}
}

func TestTicksAreRoundAndFew(t *testing.T) {
	for _, c := range []struct {
		most float64
		want []float64
	}{
		{1, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{60, []float64{0, 10, 20, 30, 40, 50, 60}},
		{100, []float64{0, 20, 40, 60, 80, 100}},
		{25, []float64{0, 5, 10, 15, 20, 25}},
	} {
		got := slices.Collect(steps(c.most))
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("up to %g: %v, want %v", c.most, got, c.want)
		}
	}
}
