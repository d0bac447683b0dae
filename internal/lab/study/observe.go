package study

import (
	"time"

	"overlayd/internal/wire"
)

// observations are what was seen of a network.
type observations struct {
	finals   []float64   // regret of each direction of each pair at the end of its turn
	direct   []float64   // the same, had it used the direct path
	series   [][]float64 // regrets by the seconds since the turn began
	rtts     []float64   // true ones of the paths in use at the end, in ms
	relays   int         // of all of them
	pathless int         // ends of turns without any path
	switches []float64   // of each direction of each pair in each of its turns
	watched  time.Duration

	packets      packets
	idle, active traffic
	probed       []float64 // members that a node probes at intervals
	contacts     []float64
}

// packets are the data of each direction since the first fault: before, a pair may not have met yet.
type packets struct {
	sent, delivered map[pair]int
	last            []uint64 // number of the latest packet of each node
	after           []uint64 // that counts no more, of each node
}

func newPackets(nodes int) packets {
	return packets{
		sent: make(map[pair]int), delivered: make(map[pair]int), last: make([]uint64, nodes), after: make([]uint64, nodes),
	}
}

func (p *packets) send(d pair, seq uint64) {
	p.sent[d]++
	p.last[d.a] = seq
}

func (p *packets) deliver(d pair, seq uint64) {
	if seq > p.after[d.a] {
		p.delivered[d]++
	}
}

// restart begins to count anew.
func (p *packets) restart() {
	clear(p.sent)
	clear(p.delivered)
	copy(p.after, p.last)
}

// look notes which paths are in use, and what they cost more than the best ones.
func (w *world) look(pairs []pair, age int, last bool) {
	for len(w.seen.series) < age {
		w.seen.series = append(w.seen.series, nil)
	}
	for _, p := range pairs {
		for _, d := range []pair{p, {p.b, p.a}} {
			via, ok := w.inUse(d)
			regret := w.oracles[w.slice].Regret(d.a, via, d.b)
			if ok {
				w.seen.series[age-1] = append(w.seen.series[age-1], regret)
			}
			switch {
			case last && ok:
				w.seen.finals = append(w.seen.finals, regret)
				w.seen.direct = append(w.seen.direct, w.oracles[w.slice].Regret(d.a, nil, d.b))
				w.seen.rtts = append(w.seen.rtts, w.slices[w.slice].Along(d.a, via, d.b).Seconds()*1000)
				w.seen.relays += len(via)
			case last:
				w.seen.pathless++
			}
		}
	}
}

// inUse is the path in use from one node to another.
func (w *world) inUse(d pair) (via []int, ok bool) {
	ids, _, ok := w.hosts[d.a].Core.Selected(w.hosts[d.b].ID)
	for _, id := range ids {
		via = append(via, w.index[id])
	}
	return via, ok
}

// switches counts the changes of path so far, for each direction of each pair.
func (w *world) switches(pairs []pair) (list []int) {
	for _, p := range pairs {
		for _, d := range []pair{p, {p.b, p.a}} {
			_, n, _ := w.hosts[d.a].Core.Selected(w.hosts[d.b].ID)
			list = append(list, n)
		}
	}
	return list
}

// count notes how many members each node deals with while there is no data.
func (w *world) count() {
	for _, h := range w.hosts {
		picked, others := h.Core.Contacts()
		w.seen.contacts = append(w.seen.contacts, float64(picked+others))
		w.seen.probed = append(w.seen.probed, float64(h.Core.Probed()))
	}
}

// traffic is what nodes have sent to keep the network going, in bytes; or in bytes a second.
type traffic struct {
	nodes []float64
	kinds map[string]float64 // of all nodes together
}

func (w *world) traffic() traffic {
	t := traffic{kinds: make(map[string]float64)}
	for _, h := range w.hosts {
		t.nodes = append(t.nodes, float64(h.Control))
		for kind, bytes := range h.Kinds {
			t.kinds[purpose(kind)] += float64(bytes)
		}
	}
	return t
}

// since is the traffic a second since an earlier time; by purpose it is the mean of a node.
func (w *world) since(before traffic, period time.Duration) traffic {
	t := w.traffic()
	for i := range t.nodes {
		t.nodes[i] = (t.nodes[i] - before.nodes[i]) / max(period.Seconds(), 1)
	}
	for kind := range t.kinds {
		t.kinds[kind] = (t.kinds[kind] - before.kinds[kind]) / max(period.Seconds(), 1) / float64(len(w.hosts))
	}
	return t
}

// purpose groups the kinds of frames.
func purpose(k wire.Kind) string {
	switch k {
	case wire.KindPing, wire.KindPong:
		return "probes"
	case wire.KindNeighbors, wire.KindRouteQuery, wire.KindRouteReply:
		return "nomination"
	case wire.KindCircuitOpen, wire.KindCircuitOpened, wire.KindCircuitError, wire.KindCircuitClose:
		return "circuits"
	case wire.KindMembers:
		return "membership"
	default:
		return "else"
	}
}
