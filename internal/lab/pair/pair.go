// Package pair runs two nodes' probers and selectors against each other, over simulated paths in virtual time, as a
// node connects them: it is where measuring and choosing are tested together. The same seed gives the same run.
//
//	A: data, Prober, Selector  ──▶ pipe: queue, delay, jitter, loss, cuts ──▶  B
//	                           ◀── pipe ──────────────────────────────────
package pair

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/lab/agenda"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// Queue is a bottleneck that several pipes may share: packets wait for those before them, and are dropped if they
// would be through later than after Limit.
type Queue struct {
	Rate  float64       // bytes a second
	Limit time.Duration // of waiting
	free  time.Duration
}

// pass is how long a packet of size bytes waits and is sent at a time, and whether it is not dropped.
func (q *Queue) pass(now time.Duration, size int) (time.Duration, bool) {
	if q == nil {
		return 0, true
	}
	done := max(q.free, now) + time.Duration(float64(size)/q.Rate*1e9)
	if done-now > q.Limit { // a small packet finds room where a large one does not
		return 0, false
	}
	q.free = done
	return q.free - now, true
}

// Pipe is one direction of a path.
type Pipe struct {
	Delay  time.Duration
	Jitter float64 // each packet's delay varies by up to this part, both ways
	Loss   float64 // of probes and data
	Cut    bool
	Queue  *Queue

	DataLoss  float64       // of data alone
	DataDelay time.Duration // of data alone, beyond Delay: probes overtake it
	Reorder   bool          // packets overtake each other by jitter

	last     time.Duration // when the latest packet comes out: none overtakes another
	lastData time.Duration // the same of data, if it is delayed
}

// Path is a path between the nodes: Out from A to B, In from B to A.
type Path struct {
	Via     []wire.NodeID
	Out, In Pipe
}

// Symmetric is a path with the given round-trip time.
func Symmetric(rtt time.Duration, via ...wire.NodeID) *Path {
	return &Path{Via: via, Out: Pipe{Delay: rtt / 2}, In: Pipe{Delay: rtt / 2}}
}

// Size of a probe on the wire, in bytes.
const probeSize = 150

// Sim is a run.
type Sim struct {
	A, B  *End
	Paths []*Path

	now    time.Duration
	events agenda.Agenda[func()]
	rng    *rand.Rand
	trace  *strings.Builder // nil: none
}

// epoch is when every run begins.
var epoch = time.Unix(1_800_000_000, 0)

// New is a run over the paths.
func New(seed uint64, paths ...*Path) *Sim {
	s := &Sim{Paths: paths, rng: rand.New(rand.NewPCG(seed, 1))}
	s.A = newEnd(s, "a", 1, seed, 5*time.Second)
	s.B = newEnd(s, "b", 101, seed+1<<32, 777*time.Second)
	s.A.peer, s.B.peer = s.B, s.A
	for i := range paths {
		s.A.add(i)
		s.B.add(i)
	}
	return s
}

// Trace begins to record every state change and selection.
func (s *Sim) Trace() *strings.Builder {
	s.trace = new(strings.Builder)
	return s.trace
}

// Now is the virtual time since the start.
func (s *Sim) Now() time.Duration { return s.now }

// At calls f at a time, or now if that has passed.
func (s *Sim) At(t time.Duration, f func()) {
	s.events.Push(max(t, s.now), f)
}

// Run runs until a time.
func (s *Sim) Run(until time.Duration) {
	for at, some := s.events.Next(); some && at <= until; at, some = s.events.Next() {
		f := s.events.Pop()
		s.now = at
		f()
	}
	s.now = until
}

// note records a line of the trace.
func (s *Sim) note(e *End, format string, args ...any) {
	if s.trace != nil {
		fmt.Fprintf(s.trace, "%9.3fs %s ", s.now.Seconds(), e.name)
		fmt.Fprintf(s.trace, format, args...)
		s.trace.WriteByte('\n')
	}
}

// carry puts size bytes in a pipe and calls f when, and if, they come out.
func (s *Sim) carry(p *Pipe, size int, data bool, f func()) {
	wait, ok := p.Queue.pass(s.now, size)
	lost := s.rng.Float64() < p.Loss
	if data && s.rng.Float64() < p.DataLoss {
		lost = true
	}
	vary := 1 + p.Jitter*(2*s.rng.Float64()-1)
	if !ok || lost || p.Cut {
		return
	}
	last, out := &p.last, s.now+wait+time.Duration(float64(p.Delay)*vary)
	if data && p.DataDelay > 0 {
		last, out = &p.lastData, out+p.DataDelay
	}
	if !p.Reorder {
		out = max(out, *last)
	}
	*last = out
	s.At(out, func() {
		if !p.Cut {
			f()
		}
	})
}

// Switch is a selection of another path.
type Switch struct {
	At       time.Duration
	From, To int // indices of paths, -1 for none
	Why      string
}

// Change is a change of a path's state.
type Change struct {
	At       time.Duration
	Path     int // index
	From, To probe.State
	Why      string
}

// End is one node, as far as one peer is concerned.
type End struct {
	Prober   *probe.Prober
	Selector *pathselect.Selector
	Switches []Switch
	Changes  []Change
	Pings    int

	holes holes

	frozen   bool // selections change no rates
	name     string
	sim      *Sim
	peer     *End
	base     wire.PathID // the number of path 0
	counters []*counters
	flow     Selection
	dataSeq  uint32 // of the latest data packet
	offset   time.Duration
	armed    time.Duration // when a wake-up is planned; negative: none
	busy     time.Duration // not running until then
}

// Selection is the current choice by indices of paths, -1 for none.
type Selection struct{ Selected, Duplicate int }

type counters struct {
	sent, received           uint64
	sentBytes, receivedBytes uint64
	sentSeq, receivedSeq     uint32
	last                     wire.Stamp
}

func (c *counters) Counts() (sent, received uint64, last wire.Stamp) {
	return c.sent, c.received, c.last
}

func (c *counters) Bytes() (sent, received uint64) { return c.sentBytes, c.receivedBytes }
func (c *counters) Seqs() (sent, received uint32)  { return c.sentSeq, c.receivedSeq }

// updateEvery is how often the selector sees new figures.
const updateEvery = 100 * time.Millisecond

func newEnd(s *Sim, name string, base wire.PathID, seed uint64, offset time.Duration) *End {
	algo := pathselect.Balanced()
	e := &End{name: name, sim: s, base: base, offset: offset, armed: -1, flow: Selection{-1, -1}}
	e.Prober = probe.New(probe.Config{}, e.stamp, rand.New(rand.NewPCG(seed, 2)), rand.NewPCG(seed, 4))
	e.Selector = pathselect.New(pathselect.Config{}, algo, wire.DefaultTraffic, rand.New(rand.NewPCG(seed, 3)))
	e.step(probe.SetActive{Active: true})
	s.At(0, e.refresh)
	return e
}

func (e *End) stamp(t time.Time) wire.Stamp { return wire.Stamp(t.Sub(epoch) + e.offset) }
func (e *End) wall() time.Time              { return epoch.Add(e.sim.now) }

func (e *End) add(i int) {
	c := &counters{}
	e.counters = append(e.counters, c)
	e.step(probe.AddPath{ID: e.base + wire.PathID(i), Counts: c, Rate: probe.Standby})
}

// Stall keeps the node from running until a time; what arrives waits.
func (e *End) Stall(until time.Duration) { e.busy = until }

// Flow is the current choice.
func (e *End) Flow() Selection { return e.flow }

// State is the state of a path by its index.
func (e *End) State(i int) probe.State { return e.Measure(i).State }

// Measure is the measurement of a path by its index.
func (e *End) Measure(i int) probe.Measurement {
	m, _ := e.Prober.Measure(e.base+wire.PathID(i), e.wall())
	return m
}

// refresh feeds the selector regularly.
func (e *End) refresh() {
	e.whenRunning(func() {
		e.choose()
		e.sim.At(e.sim.now+updateEvery, e.refresh)
	})
}

func (e *End) whenRunning(f func()) {
	if e.sim.now < e.busy {
		e.sim.At(e.busy, func() { e.whenRunning(f) })
		return
	}
	f()
}

func (e *End) step(in probe.Input) {
	if err := e.Prober.Step(e.wall(), in); err != nil {
		panic(err)
	}
	changed := false
	for _, o := range e.Prober.Drain(nil) {
		switch o := o.(type) {
		case probe.SendPing:
			e.Pings++
			e.sendPing(o)
		case probe.SendPong:
			for _, id := range o.Paths {
				e.sendPong(id, o.Pong)
			}
		case probe.Changed:
			i := int(o.Path - e.base)
			e.sim.note(e, "path %d %s -> %s: %s", i, o.From, o.To, o.Why)
			e.Changes = append(e.Changes, Change{e.sim.now, i, o.From, o.To, o.Why})
			changed = true
		}
	}
	if changed {
		e.choose()
	}
	e.arm()
}

func (e *End) arm() {
	deadline, ok := e.Prober.NextDeadline()
	if !ok {
		return
	}
	at := max(deadline.Sub(epoch), e.sim.now)
	if e.armed >= e.sim.now && e.armed <= at {
		return
	}
	e.armed = at
	e.sim.At(at, func() {
		if e.armed != at {
			return
		}
		e.whenRunning(func() {
			e.armed = -1
			e.step(probe.Tick{})
		})
	})
}

// pipe is the direction of path i that leaves this end.
func (e *End) pipe(i int) *Pipe {
	if e == e.sim.A {
		return &e.sim.Paths[i].Out
	}
	return &e.sim.Paths[i].In
}

func (e *End) sendPing(o probe.SendPing) {
	i := int(o.Path - e.base)
	body := o.Ping.Append(nil)
	e.sim.carry(e.pipe(i), probeSize, false, func() {
		at := e.peer.wall()
		e.peer.whenRunning(func() {
			ping, err := wire.ParsePing(body)
			if err != nil {
				panic(err)
			}
			e.peer.step(probe.PingReceived{
				On: e.peer.base + wire.PathID(i), Ping: ping, At: at, Observed: netip.AddrPort{},
			})
		})
	})
}

func (e *End) sendPong(id wire.PathID, pong wire.Pong) {
	i := int(id - e.base)
	body := pong.Append(nil)
	e.sim.carry(e.pipe(i), probeSize, false, func() {
		at := e.peer.wall()
		e.peer.whenRunning(func() {
			pong, err := wire.ParsePong(body)
			if err != nil {
				panic(err)
			}
			e.peer.step(probe.PongReceived{On: e.peer.base + wire.PathID(i), Pong: pong, At: at})
		})
	})
}

// choose shows the selector the paths as they are.
func (e *End) choose() {
	var up pathselect.Update
	e.observeHoles()
	for i, p := range e.sim.Paths {
		path := selectable(e.base+wire.PathID(i), p.Via, e.Measure(i))
		e.judgeHoles(&path)
		up.Paths = append(up.Paths, path)
	}
	e.pick(up)
}

func selectable(id wire.PathID, via []wire.NodeID, m probe.Measurement) pathselect.Path {
	return pathselect.Path{
		ID: id, Via: via, State: pathselect.State(m.State), Since: m.Since, Why: m.Why,
		Samples: m.Samples, RTT: m.RTT, RecentRTT: m.RecentRTT, Deviation: m.Deviation, MinRTT: m.MinRTT,
		LossOut: m.LossOut, LossOutLow: m.LossOutLow,
		LossRecent: m.LossRecent, LossRecentLow: m.LossRecentLow, LossProbes: m.LossOutProbes,
	}
}

func (e *End) pick(in pathselect.Input) {
	if err := e.Selector.Step(e.wall(), in); err != nil {
		panic(err)
	}
	for _, o := range e.Selector.Drain(nil) {
		if o, ok := o.(pathselect.Select); ok {
			e.apply(&o.Selection)
		}
	}
	if t, ok := e.Selector.NextDeadline(); ok {
		e.sim.At(t.Sub(epoch), func() {
			if d, ok := e.Selector.NextDeadline(); ok && !d.After(e.wall()) {
				e.pick(pathselect.Tick{})
			}
		})
	}
}

// apply sets the rates and the way of data.
func (e *End) apply(sel *pathselect.Selection) {
	next := Selection{int(sel.Selected) - int(e.base), int(sel.Copies[wire.DefaultTraffic]) - int(e.base)}
	next.Selected, next.Duplicate = max(next.Selected, -1), max(next.Duplicate, -1)
	if next.Selected != e.flow.Selected {
		e.Switches = append(e.Switches, Switch{e.sim.now, e.flow.Selected, next.Selected, sel.Reason.String()})
		e.sim.note(e, "selects path %d: %s", next.Selected, sel.Reason)
	}
	e.flow = next
	if e.frozen {
		return
	}
	for i := range e.sim.Paths {
		id := e.base + wire.PathID(i)
		rate := probe.Recent
		switch {
		case id == sel.Selected || id == sel.Trial:
			rate = probe.Selected
		case slices.Contains(sel.Standbys, id):
			rate = probe.Standby
		}
		if err := e.Prober.Step(e.wall(), probe.SetRate{ID: id, Rate: rate}); err != nil {
			panic(err)
		}
	}
	e.arm()
}

// Send sends a data packet on the selected path, and a copy where one is wanted; arrived is called once for each copy
// that arrives at the peer.
func (e *End) Send(size int, arrived func()) {
	e.dataSeq++
	e.sendOn(e.flow.Selected, size, arrived)
	copied := e.flow.Duplicate
	if copied < 0 && e.holes.trial != 0 {
		copied = int(e.holes.trial - e.base)
	}
	if copied != e.flow.Selected {
		e.sendOn(copied, size, arrived)
	}
}

func (e *End) sendOn(i, size int, arrived func()) {
	if i < 0 {
		return
	}
	seq, out := e.dataSeq, e.counters[i]
	out.sent++
	out.sentBytes += uint64(size)
	out.sentSeq = seq
	e.sim.carry(e.pipe(i), size, true, func() {
		c := e.peer.counters[i]
		c.received++
		c.receivedBytes += uint64(size)
		c.receivedSeq = seq
		c.last = e.peer.stamp(e.peer.wall())
		arrived()
	})
}
