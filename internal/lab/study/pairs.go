package study

import "math/rand/v2"

// pair is two nodes that have data for each other.
type pair struct{ a, b int }

// choose lists the pairs among so many nodes, in the order of their turns.
func (p Pairs) choose(nodes int, seed uint64) []pair {
	var list []pair
	switch {
	case p.Source > 0:
		for b := range nodes {
			if b != p.Source-1 {
				list = append(list, pair{p.Source - 1, b})
			}
		}
	case p.All:
		return tournament(nodes)
	default:
		list = tournament(nodes)
		rng := rand.New(rand.NewPCG(seed, 1))
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:min(p.Sample, len(list))]
	}
	return list
}

// tournament lists all pairs so that each node comes up once in every round, by the circle method: one node keeps its
// seat, all others move on by one.
func tournament(nodes int) []pair {
	seats := nodes + nodes%2 // whoever meets the last seat of an odd number pauses
	list := make([]pair, 0, nodes*(nodes-1)/2)
	for round := range seats - 1 {
		for i := range seats / 2 {
			a, b := (round+i)%(seats-1), (round-i+seats-1)%(seats-1)
			if i == 0 {
				b = seats - 1
			}
			if a < nodes && b < nodes {
				list = append(list, pair{a, b})
			}
		}
	}
	return list
}

// turns splits pairs into groups that have data at the same time.
func turns(pairs []pair, together int) (list [][]pair) {
	for len(pairs) > 0 {
		n := min(together, len(pairs))
		list = append(list, pairs[:n])
		pairs = pairs[n:]
	}
	return list
}
