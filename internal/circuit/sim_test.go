package circuit

import (
	"container/heap"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

var seedFlag = flag.Uint64("seed", 0, "run the simulation with this seed only")

// TestSimulatedNetworksStaySound runs whole networks that open, use and close circuits while frames are lost, delayed
// and overtake each other, relays restart and change their minds, and direct paths come and go.
func TestSimulatedNetworksStaySound(t *testing.T) {
	first, last := uint64(1), uint64(60)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	} else if testing.Short() {
		last = 10
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("again: go test ./internal/circuit -run TestSimulated -seed %d", seed)
				}
			})
			runWorld(t, seed)
		})
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	if a, b := runWorld(t, 42), runWorld(t, 42); a != b {
		t.Fatalf("two runs of one seed differ: %x and %x", a, b)
	}
}

// runWorld runs one network and returns a hash of everything that its machines wanted.
func runWorld(t testing.TB, seed uint64) uint64 {
	w := newWorld(t, seed)
	w.troubled = true
	w.run(60 * time.Second)
	w.calm()
	w.run(300 * time.Second)
	w.checkWhole()
	w.openEverywhere()
	w.run(10 * time.Second)
	w.checkWhole()
	if w.opens == 0 || w.forwarded == 0 {
		t.Fatal("the simulation did nothing")
	}
	for _, n := range w.nodes {
		for _, c := range slices.Sorted(maps.Keys(n.ends)) {
			w.step(n, Close{ID: c})
		}
	}
	w.run(100 * time.Second)
	for _, n := range w.nodes {
		if len(n.m.circuits)+len(n.table)+len(n.ends) != 0 {
			t.Fatalf("%v holds circuits after all were closed", n.id)
		}
	}
	return w.trace.Sum64()
}

type world struct {
	t         testing.TB
	rng       *rand.Rand
	now       time.Time
	troubled  bool // frames are lost, nodes restart
	nodes     []*simNode
	queue     events
	count     int
	trace     interface{ Sum64() uint64 }
	note      func(string)
	opens     int
	forwarded int
}

type simNode struct {
	id    wire.NodeID
	epoch uint64
	known map[wire.NodeID]uint64 // epochs of the others
	m     *Machine
	cfg   Config
	table map[wire.Label]simEntry
	ends  map[wire.CircuitID]Opened
}

// simEntry is what the forwarding table says of a label.
type simEntry struct {
	from    wire.NodeID
	to      wire.NodeID // zero: the circuit ends here
	label   wire.Label
	circuit wire.CircuitID
}

// frame is a sealed frame with the epochs that package seal puts in, or a frame with a label.
type frame struct {
	from, to           wire.NodeID
	fromEpoch, toEpoch uint64
	kind               wire.Kind // zero: it only carries the epochs
	body               []byte
	label              wire.Label
	hops               int
	hello              bool
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(t testing.TB, seed uint64) *world {
	trace := fnv.New64a()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, trace: trace}
	w.note = func(s string) { _, _ = trace.Write([]byte(s)) }
	for i := range 6 + w.rng.IntN(5) {
		cfg := DefaultConfig()
		cfg.PerNeighbor, cfg.PerOpener, cfg.Total, cfg.Own = 12, 5, 30, 10
		n := &simNode{id: id(byte(i + 1)), cfg: cfg}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		w.boot(n)
		w.after(w.within(300*time.Millisecond), func() { w.probe(n) })
		w.after(w.within(time.Second), func() { w.greet(n) })
	}
	w.after(0, w.trouble)
	return w
}

func (w *world) within(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, event{w.now.Add(d), w.count, do})
}

func (w *world) node(id wire.NodeID) *simNode { return w.nodes[id[0]-1] }

// boot starts a node, or starts it anew with nothing of what it knew.
func (w *world) boot(n *simNode) {
	n.epoch++
	n.m = New(n.id, n.cfg, rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())))
	n.known = make(map[wire.NodeID]uint64)
	n.table = make(map[wire.Label]simEntry)
	n.ends = make(map[wire.CircuitID]Opened)
	w.step(n, SetRelay{Allowed: true})
	for _, other := range w.nodes {
		if other != n {
			w.step(n, Reachable{ID: other.id, Direct: true})
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next, do := end, func() {}
		if len(w.queue) > 0 && w.queue[0].at.Before(next) {
			next, do = w.queue[0].at, func() { heap.Pop(&w.queue).(event).do() }
		}
		for _, n := range w.nodes {
			if deadline, ok := n.m.NextDeadline(); ok && deadline.Before(next) {
				next, do = deadline, func() { w.step(n, Tick{}) }
			}
		}
		if next.Before(w.now) {
			w.t.Fatalf("a deadline lies %v in the past", w.now.Sub(next))
		}
		w.now = next
		if !next.Before(end) {
			return
		}
		do()
	}
}

// step hands a machine one input, carries out what it wants and checks it.
func (w *world) step(n *simNode, in Input) {
	_ = n.m.Step(w.now, in) // what is refused changes nothing; the checks below see to that
	for _, out := range n.m.Drain(nil) {
		w.note(fmt.Sprintf("%v %v %#v\n", w.now.UnixNano(), n.id, out))
		w.carryOut(n, out)
	}
	w.check(n)
}

func (w *world) carryOut(n *simNode, out Output) {
	switch out := out.(type) {
	case Send:
		w.send(n, frame{to: out.To, kind: out.Kind, body: out.Body})
	case Opened:
		if _, twice := n.ends[out.ID]; twice {
			w.t.Fatalf("%v opened twice", out.ID)
		}
		w.opens++
		n.ends[out.ID] = out
		n.table[out.ReceiveLabel] = simEntry{from: out.FirstHop, circuit: out.ID}
	case Failed:
		w.ended(n, out.ID)
	case Closed:
		if _, known := n.ends[out.ID]; !known {
			w.t.Fatalf("%v closed and was not open", out.ID)
		}
		w.ended(n, out.ID)
	case Install:
		n.table[out.LabelFromA] = simEntry{out.A, out.B, out.LabelToB, out.ID}
		n.table[out.LabelFromB] = simEntry{out.B, out.A, out.LabelToA, out.ID}
	case Uninstall:
		w.ended(n, out.ID)
	}
}

func (w *world) ended(n *simNode, circuit wire.CircuitID) {
	delete(n.ends, circuit)
	maps.DeleteFunc(n.table, func(_ wire.Label, e simEntry) bool { return e.circuit == circuit })
}

func (w *world) send(n *simNode, f frame) {
	f.from, f.fromEpoch, f.toEpoch = n.id, n.epoch, n.known[f.to]
	if w.troubled && w.rng.IntN(100) < 15 {
		return
	}
	w.after(time.Millisecond+w.within(60*time.Millisecond), func() { w.arrive(f) })
}

// arrive does what package seal and the data plane do before a machine is asked.
func (w *world) arrive(f frame) {
	n := w.node(f.to)
	if f.label != 0 {
		w.arriveLabelled(n, f)
		return
	}
	if f.toEpoch != n.epoch { // perhaps old: only answered
		if !f.hello && f.fromEpoch >= n.known[f.from] {
			w.after(w.within(30*time.Millisecond), func() {
				w.arrive(frame{from: n.id, to: f.from, fromEpoch: n.epoch, toEpoch: f.fromEpoch, hello: true})
			})
		}
		return
	}
	if f.fromEpoch < n.known[f.from] {
		return
	}
	if before := n.known[f.from]; f.fromEpoch > before {
		n.known[f.from] = f.fromEpoch
		if before != 0 {
			w.step(n, NeighborRestarted{ID: f.from})
		}
	}
	if f.kind != 0 {
		_, m := message(w.t, Send{To: f.to, Kind: f.kind, Body: f.body})
		w.step(n, Received{From: f.from, Message: m})
	}
}

func (w *world) arriveLabelled(n *simNode, f frame) {
	e, known := n.table[f.label]
	switch {
	case !known || e.from != f.from:
		w.step(n, UnknownLabel{From: f.from, Label: f.label})
	case e.to.IsZero():
		w.step(n, Used{ID: e.circuit, At: w.now})
	default:
		w.forwarded++
		w.step(n, Used{ID: e.circuit, At: w.now})
		if f.hops++; f.hops > wire.MaxRelays {
			w.t.Fatalf("a frame was forwarded %d times", f.hops)
		}
		w.send(n, frame{to: e.to, label: e.label, hops: f.hops})
	}
}

// probe sends a frame through every circuit that ends at a node.
func (w *world) probe(n *simNode) {
	for _, c := range slices.Sorted(maps.Keys(n.ends)) {
		w.send(n, frame{to: n.ends[c].FirstHop, label: n.ends[c].SendLabel})
	}
	w.after(200*time.Millisecond+w.within(200*time.Millisecond), func() { w.probe(n) })
}

// greet carries a node's epoch to the others, as probes do.
func (w *world) greet(n *simNode) {
	for _, other := range w.nodes {
		if other != n {
			w.send(n, frame{to: other.id})
		}
	}
	w.after(time.Second, func() { w.greet(n) })
}

// trouble does something at random to somebody.
func (w *world) trouble() {
	if !w.troubled {
		return
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	other := w.nodes[w.rng.IntN(len(w.nodes))].id
	switch p := w.rng.IntN(100); {
	case p < 60:
		w.step(n, Open{Route: w.randomRoute()})
	case p < 80:
		if ends := slices.Sorted(maps.Keys(n.ends)); len(ends) > 0 {
			w.step(n, Close{ID: ends[w.rng.IntN(len(ends))]})
		}
	case p < 83:
		w.boot(n)
	case p < 88:
		w.step(n, SetRelay{Allowed: w.rng.IntN(4) > 0})
	case p < 98:
		w.step(n, Reachable{ID: other, Direct: other != n.id && w.rng.IntN(3) > 0})
	default:
		w.step(n, NeighborGone{ID: other})
		w.step(n, Reachable{ID: other, Direct: other != n.id})
	}
	w.after(w.within(200*time.Millisecond), w.trouble)
}

func (w *world) randomRoute() []wire.NodeID {
	r := make([]wire.NodeID, 2+w.rng.IntN(wire.MaxRelays))
	for i := range r {
		r[i] = w.nodes[w.rng.IntN(len(w.nodes))].id // at times with a loop
	}
	return r
}

// calm ends all trouble.
func (w *world) calm() {
	w.troubled = false
	for _, n := range w.nodes {
		w.step(n, SetRelay{Allowed: true})
		for _, other := range w.nodes {
			w.step(n, Reachable{ID: other.id, Direct: other != n})
		}
	}
}

// openEverywhere opens a circuit from each node through the next to the one after, which must succeed wherever the
// bounds leave room.
func (w *world) openEverywhere() {
	for i, n := range w.nodes {
		relay, far := w.nodes[(i+1)%len(w.nodes)], w.nodes[(i+2)%len(w.nodes)]
		route := []wire.NodeID{relay.id, far.id}
		if n.m.routeInUse(route) || n.m.counts.own >= n.cfg.Own || relay.m.counts.others >= n.cfg.Total-len(w.nodes) ||
			far.m.counts.others >= n.cfg.Total-len(w.nodes) || relay.m.counts.neighbor[n.id] >= n.cfg.PerOpener ||
			far.m.counts.neighbor[relay.id] >= n.cfg.PerOpener {
			continue
		}
		w.step(n, Open{Route: route})
		w.after(time.Second, func() {
			for _, o := range n.ends {
				if o.Initiator && o.Peer == far.id && slices.Equal(o.Via, route[:1]) {
					return
				}
			}
			w.t.Fatalf("%v could not open through %v to %v on a sound network", n.id, relay.id, far.id)
		})
	}
}

// check holds what is true of a machine at every moment.
func (w *world) check(n *simNode) {
	w.t.Helper()
	var own, others, relayed, labels int
	perNeighbor, perOpener := make(map[wire.NodeID]int), make(map[[2]wire.NodeID]int)
	for _, c := range n.m.circuits {
		if c.openedHere() {
			own++
		} else {
			others++
			perNeighbor[c.back.node]++
			perOpener[[2]wire.NodeID{c.back.node, c.opener}]++
		}
		if c.relayed() && c.up {
			relayed++
		}
		if err := n.m.checkRoute(c.opener, c.route); err != nil {
			w.t.Fatalf("%v holds a bad route: %v", n.id, err)
		}
		for _, s := range c.sides() {
			labels++
			if n.m.received[s.in] != s {
				w.t.Fatalf("%v: label %v is not its own", n.id, s.in)
			}
			if _, tabled := n.table[s.in]; tabled != c.up {
				w.t.Fatalf("%v: label %v is in the table: %v, circuit is up: %v", n.id, s.in, tabled, c.up)
			}
		}
		if _, end := n.ends[c.id]; end != (c.up && !c.relayed()) {
			w.t.Fatalf("%v: circuit %x and what was told of it differ", n.id, c.id)
		}
	}
	live := 0
	for _, s := range n.m.received {
		if s != nil {
			live++
		}
	}
	if live != labels {
		w.t.Fatalf("%v: %d labels live, %d in use", n.id, live, labels)
	}
	got := n.m.counts
	if got.own != own || got.others != others || got.relayed != relayed ||
		!maps.Equal(got.neighbor, perNeighbor) || !maps.Equal(got.opener, perOpener) {
		w.t.Fatalf("%v: counts are wrong", n.id)
	}
	if own > n.cfg.Own || others > n.cfg.Total || len(n.m.graveyard.queue) > maxGraves ||
		len(n.m.graveyard.queue) != len(n.m.graveyard.byID) || len(n.m.agenda) != own+others {
		w.t.Fatalf("%v: beyond a bound", n.id)
	}
	for _, k := range perNeighbor {
		if k > n.cfg.PerNeighbor {
			w.t.Fatalf("%v: beyond the bound of a neighbour", n.id)
		}
	}
	w.checkNoLoop(n)
}

// checkNoLoop follows every switch of a node to its end.
func (w *world) checkNoLoop(n *simNode) {
	for label := range n.table {
		at, l, from := n, label, n.table[label].from
		for hops := 0; ; hops++ {
			e, ok := at.table[l]
			if !ok || e.from != from || e.to.IsZero() {
				break
			}
			if hops > wire.MaxRelays {
				w.t.Fatalf("the switches from %v on form a loop", n.id)
			}
			from, at, l = at.id, w.node(e.to), e.label
		}
	}
}

// checkWhole holds what is true of a network in which nothing happens any more: every circuit that a node knows is up,
// and its neighbours know the same.
func (w *world) checkWhole() {
	w.t.Helper()
	for _, n := range w.nodes {
		for _, c := range n.m.circuits {
			if !c.up {
				w.t.Fatalf("%v: circuit %x is pending for ever", n.id, c.id)
			}
			for _, s := range c.sides() {
				other := w.node(s.node).m.circuits[c.id]
				if other == nil {
					w.t.Fatalf("%v: circuit %x is unknown to %v", n.id, c.id, s.node)
				}
				if o := other.nextTo(n.id); o == nil || o.in != s.out || o.out != s.in {
					w.t.Fatalf("%v: labels of circuit %x differ from those of %v", n.id, c.id, s.node)
				}
			}
		}
	}
}
