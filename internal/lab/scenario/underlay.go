package scenario

import (
	"strconv"
	"strings"

	"overlayd/internal/lab/wan"
)

// Direction is what happens to packets from one site to another.
type Direction struct {
	Pair Pair
	Link wan.Link
}

// Underlay is every direction that there is when the scenario starts, in the order of the sites. The places of a crowd are
// drawn from the seed.
func (s *Scenario) Underlay(seed uint64) []Direction {
	links := make(map[Pair]wan.Link)
	for _, d := range s.everyTwo() {
		if s.Crowd != nil {
			links[d] = wan.Link{Delay: s.Crowd.Delay(seed, d.From, d.To)}
		}
		for _, link := range s.Links {
			if link.Any {
				links[d] = link.Change.Of(links[d])
			}
		}
	}
	// A pair that is listed owes nothing to any, but does to what was said of it before.
	named := make(map[Pair]wan.Link)
	for _, link := range s.Links {
		if link.Any {
			continue
		}
		for _, d := range link.Pair.Directions() {
			named[d] = link.Change.Of(named[d])
			links[d] = named[d]
		}
	}
	var all []Direction
	for _, d := range s.everyTwo() {
		if link, there := links[d]; there {
			all = append(all, Direction{d, link})
		}
	}
	return all
}

// everyTwo is every direction between two sites, in their order.
func (s *Scenario) everyTwo() []Pair {
	var all []Pair
	for _, a := range s.Sites {
		for _, b := range s.Sites {
			if a.Name != b.Name {
				all = append(all, Pair{From: a.Name, To: b.Name})
			}
		}
	}
	return all
}

// Of is the link with the change made.
func (c Change) Of(l wan.Link) wan.Link {
	set(&l.Delay, c.Delay)
	set(&l.Jitter, c.Jitter)
	set(&l.Loss, c.Loss)
	set(&l.Reorder, c.Reorder)
	set(&l.MTU, c.MTU)
	if c.Drop != nil {
		l.Drop = c.Drop.Of(l.Drop)
	}
	if c.ICMP != nil {
		l.Mute = !*c.ICMP
	}
	return l
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

// Severs is every direction between sites of different groups of a split.
func (s *Scenario) Severs(split Split) []Pair {
	group := make(map[string]int) // from 1
	for i, g := range split.Groups {
		for _, name := range s.Nodes(g) {
			group[name] = i + 1
		}
	}
	var all []Pair
	for _, d := range s.everyTwo() {
		if a, b := group[d.From], group[d.To]; a != 0 && b != 0 && a != b {
			all = append(all, d)
		}
	}
	return all
}

// Sizes tells how many nodes the groups of the split have.
func (a Split) Sizes(s *Scenario) string {
	var sizes []string
	for _, g := range a.Groups {
		sizes = append(sizes, strconv.Itoa(len(s.Nodes(g))))
	}
	return strings.Join(sizes, " | ")
}
