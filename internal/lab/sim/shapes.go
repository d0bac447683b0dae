package sim

import "math/rand/v2"

// Shape is a way in which a network falls apart: which hosts reach which. It need not be the same both ways.
type Shape struct {
	Name   string
	Passes func(from, to *Host) bool
	Whole  bool // everybody still reaches everybody over others
}

// Shapes are the ways in which a network falls apart, for scenarios to go through.
func Shapes(seed uint64) []Shape {
	group := func(h *Host, groups int) int { return h.index % groups }
	const ring = 6
	return []Shape{
		{Name: "two halves", Passes: func(from, to *Host) bool { return group(from, 2) == group(to, 2) }},
		{Name: "one against all", Passes: func(from, to *Host) bool { return (from.index == 3) == (to.index == 3) }},
		{Name: "three parts", Passes: func(from, to *Host) bool { return group(from, 3) == group(to, 3) }},
		{Name: "a ring of six groups", Whole: true, Passes: func(from, to *Host) bool {
			away := (group(from, ring) - group(to, ring) + ring) % ring
			return away <= 1 || away == ring-1
		}},
		{Name: "two halves, of which one hears the other", Passes: func(from, to *Host) bool {
			return group(from, 2) <= group(to, 2)
		}},
		{Name: "three links in ten one way only", Whole: true, Passes: func(from, to *Host) bool {
			return rand.NewPCG(seed, uint64(from.index)<<32|uint64(to.index)).Uint64()%10 >= 3
		}},
	}
}
