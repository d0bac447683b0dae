package pair

import (
	"overlayd/internal/blackhole"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// holes is what an end knows of paths that pass probes and not data.
type holes struct {
	blackhole.Tracker
	trial wire.PathID // copies go there, to show what it does with them; zero: nowhere
}

// observeHoles takes the latest measurements, as a node does.
func (e *End) observeHoles() {
	samples := make([]blackhole.Sample, 0, len(e.sim.Paths))
	for i := range e.sim.Paths {
		m := e.Measure(i)
		sample := blackhole.Sample{Path: e.base + wire.PathID(i), Up: m.State == probe.Up, Passage: m.Passage}
		if len(e.sim.Paths[i].Via) == 0 && m.Data.Verdict == probe.DropsData {
			sample.Partial = m.Data.String()
		}
		samples = append(samples, sample)
	}
	e.holes.Observe(e.wall(), samples)
	e.holes.trial = e.holes.Trial(e.wall(), func(id wire.PathID) bool {
		return int(id-e.base) != e.flow.Selected && e.State(int(id-e.base)) == probe.Up
	})
}

// judgeHoles enters what is known of a path.
func (e *End) judgeHoles(path *pathselect.Path) {
	switch finding, why := e.holes.Finding(path.ID); finding {
	case blackhole.Blocked:
		path.Blocked = why
	case blackhole.Unproven:
		path.Unproven = why
	case blackhole.Doubtful:
		path.Doubtful = true
	case blackhole.Clear:
	}
}
