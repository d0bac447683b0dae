package lab

import (
	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/scenario"
)

// setUpCrowd links every two sites, if there is a crowd, by its distances.
func (w *world) setUpCrowd(now emulator.Instant, n *emulator.Network) {
	crowd := w.scenario.Crowd
	if crowd == nil {
		return
	}
	for _, a := range w.order {
		for _, b := range w.order {
			if a != b {
				n.SetLink(now, a.index, b.index, emulator.Link{Delay: crowd.Delay(w.seed, a.name, b.name)})
			}
		}
	}
}

// split cuts the links between nodes of different groups, or ends that, all of them at one moment.
func (w *world) split(groups [][]string, cut bool) (now emulator.Instant) {
	w.wan.Change(func(at emulator.Instant, n *emulator.Network) {
		now = at
		for i, group := range groups {
			for j, other := range groups {
				if i == j {
					continue
				}
				for _, a := range group {
					for _, b := range other {
						from, to := w.sites[a].index, w.sites[b].index
						if link, ok := n.Link(from, to); ok {
							link.Cut = cut
							n.SetLink(at, from, to, link)
						}
					}
				}
			}
		}
	})
	return now
}

// names resolves the groups of a split.
func (t *trial) names(groups []scenario.Group) [][]string {
	all := make([][]string, 0, len(groups))
	for _, g := range groups {
		all = append(all, t.scenario.Nodes(g))
	}
	return all
}
