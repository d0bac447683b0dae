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
	w.eachTwo(func(a, b *site) {
		n.SetLink(now, a.index, b.index, emulator.Link{Delay: crowd.Delay(w.seed, a.name, b.name)})
	})
}

// eachTwo calls f for every direction between two sites.
func (w *world) eachTwo(f func(from, to *site)) {
	for _, a := range w.order {
		for _, b := range w.order {
			if a != b {
				f(a, b)
			}
		}
	}
}

// split cuts the links between nodes of different groups, or ends that, all of them at one moment.
func (w *world) split(groups [][]string, cut bool) {
	group := make(map[string]int) // from 1
	for i, names := range groups {
		for _, name := range names {
			group[name] = i + 1
		}
	}
	w.wan.Change(func(at emulator.Instant, n *emulator.Network) {
		w.eachTwo(func(a, b *site) {
			if group[a.name] == 0 || group[b.name] == 0 || group[a.name] == group[b.name] {
				return
			}
			if link, ok := n.Link(a.index, b.index); ok {
				link.Cut = cut
				n.SetLink(at, a.index, b.index, link)
			}
		})
	})
}

// names resolves the groups of a split.
func (t *trial) names(groups []scenario.Group) [][]string {
	all := make([][]string, 0, len(groups))
	for _, g := range groups {
		all = append(all, t.scenario.Nodes(g))
	}
	return all
}
