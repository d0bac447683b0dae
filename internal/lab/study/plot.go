package study

import (
	"os"
	"path/filepath"

	"overlayd/internal/lab/plot"
)

// Plot draws the distribution of the regret, and how it falls after data begins to flow, into files in a directory.
func (r Report) Plot(dir string) error {
	for name, c := range map[string]*plot.Chart{"regret": r.distribution(), "time": r.course()} {
		f, err := os.Create(filepath.Join(dir, r.Study+"-"+name+".svg"))
		if err != nil {
			return err
		}
		if err := c.Write(f); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// mostRegret is where the axes end, in percent: what is worse is no path that anybody would want.
const mostRegret = 50

func (r Report) distribution() *plot.Chart {
	c := &plot.Chart{
		Title: r.Study + ": regret against the best path", X: plot.Axis{Label: "regret, %", Max: mostRegret},
		Y: plot.Axis{Label: "of all directions, %", Max: 100},
	}
	for _, x := range r.Results {
		line := plot.Line{Name: x.Algorithm}
		for percent, regret := range x.CDF {
			line.Points = append(line.Points, plot.Point{X: 100 * regret, Y: float64(percent)})
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

func (r Report) course() *plot.Chart {
	c := &plot.Chart{
		Title: r.Study + ": regret after data begins to flow", X: plot.Axis{Label: "s"},
		Y: plot.Axis{Label: "regret, %", Max: mostRegret},
	}
	for _, x := range r.Results {
		median, most := plot.Line{Name: x.Algorithm + ", median"}, plot.Line{Name: x.Algorithm + ", 95%"}
		for _, p := range x.Series {
			at := float64(p.Seconds)
			median.Points = append(median.Points, plot.Point{X: at, Y: 100 * p.Median})
			most.Points = append(most.Points, plot.Point{X: at, Y: 100 * p.P95})
		}
		c.Lines = append(c.Lines, median, most)
	}
	return c
}
