package scenario

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Crowd is many sites that are alike, each with a node. Their names are the crowd's, a hyphen and a number from 1.
type Crowd struct {
	Name  string
	Count int
	RTT   Span // between any two sites of the scenario, unless a Link says otherwise
}

// Span is a range of times.
type Span struct{ Least, Most time.Duration }

// Delay is the one-way delay between two sites, by their names. Every site has its place in a square, drawn from the
// seed and its name alone, and the round trip grows evenly with the distance, from RTT.Least to RTT.Most across the
// diagonal. So no way over a third site is ever shorter than the direct one.
func (c Crowd) Delay(seed uint64, a, b string) time.Duration {
	ax, ay := place(seed, a)
	bx, by := place(seed, b)
	part := math.Hypot(ax-bx, ay-by) / math.Sqrt2
	return (c.RTT.Least + time.Duration(part*float64(c.RTT.Most-c.RTT.Least))) / 2
}

// place is where a site lies in the unit square.
func place(seed uint64, name string) (x, y float64) {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	return r.Float64(), r.Float64()
}

// expandCrowd adds the sites of the crowd.
func (s *Scenario) expandCrowd(root *yaml.Node) error {
	if s.Crowd == nil {
		return nil
	}
	if len(s.Sites)+s.Crowd.Count > maxSites {
		return errorAt(root, "more than %d sites with the crowd", maxSites)
	}
	for i := range s.Crowd.Count {
		s.Sites = append(s.Sites, Site{Name: member(s.Crowd.Name, i+1), Address: defaultAddress(len(s.Sites))})
	}
	return nil
}

func member(crowd string, number int) string { return crowd + "-" + strconv.Itoa(number) }

// Group names nodes. The only word in it that is not a name is All.
type Group []string

// All stands for every node of a scenario.
const All = "all"

// Nodes are the names of the nodes of a group.
func (s *Scenario) Nodes(g Group) []string {
	var names []string
	for _, word := range g {
		if word != All {
			names = append(names, word)
			continue
		}
		for _, site := range s.Sites {
			names = append(names, site.Name)
		}
	}
	return names
}

// intoGroup is a field that holds a name, a range such as node-1..node-20, all, or a list of these.
func intoGroup(dst *Group) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var items []string
		if err := words(&items)(n); err != nil {
			return err
		}
		*dst = nil
		for _, item := range items {
			names, err := parseRange(item)
			if err != nil {
				return errorAt(n, "%v", err)
			}
			*dst = append(*dst, names...)
		}
		return nil
	}
}

// intoGroups is a field that holds a list of groups.
func intoGroups(dst *[]Group) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode || len(n.Content) < 2 {
			return errorAt(n, "expected two groups or more here, such as [[a, b], [node-1..node-20]]")
		}
		*dst = nil
		for _, item := range n.Content {
			var g Group
			if err := intoGroup(&g)(item); err != nil {
				return err
			}
			*dst = append(*dst, g)
		}
		return nil
	}
}

// parseRange reads a name or a range such as node-1..node-20.
func parseRange(s string) (Group, error) {
	first, last, isRange := strings.Cut(s, "..")
	if !isRange {
		name, err := parseName(s)
		return Group{name}, err
	}
	base, from, ok := cutNumber(first)
	base2, to, ok2 := cutNumber(last)
	if !ok || !ok2 || base != base2 || from > to || to-from >= maxSites {
		return nil, fmt.Errorf("%q is not a range of names such as node-1..node-20", s)
	}
	var g Group
	for i := from; i <= to; i++ {
		g = append(g, member(base, i))
	}
	return g, nil
}

// cutNumber cuts node-7 into node and 7.
func cutNumber(s string) (base string, number int, ok bool) {
	at := strings.LastIndexByte(s, '-')
	if at < 0 {
		return "", 0, false
	}
	v, err := strconv.ParseUint(s[at+1:], 10, 16)
	if err != nil {
		return "", 0, false
	}
	_, err = parseName(s)
	return s[:at], int(v), err == nil
}

// parseSpan reads "20ms..80ms", or a single duration.
func parseSpan(s string) (Span, error) {
	least, most, isSpan := strings.Cut(s, "..")
	if !isSpan {
		most = least
	}
	a, err := parseDuration(least)
	b, err2 := parseDuration(most)
	if err != nil || err2 != nil || b < a {
		return Span{}, fmt.Errorf("%q is not a span of time such as 20ms..80ms", s)
	}
	return Span{a, b}, nil
}

func (s *Scenario) decodeCrowd(n *yaml.Node) error {
	s.Crowd = &Crowd{Name: "node"}
	count := float64(0)
	err := fields{
		"name":  into(&s.Crowd.Name, parseName),
		"count": into(&count, parseCount),
		"rtt":   into(&s.Crowd.RTT, parseSpan),
	}.decode(n, "a crowd")
	if err == nil && (count < 1 || count > maxSites) {
		err = errorAt(n, "a crowd has a count from 1 to %d", maxSites)
	}
	s.Crowd.Count = int(count)
	return err
}
