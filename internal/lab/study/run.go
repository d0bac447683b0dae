package study

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"overlayd/internal/lab/matrix"
	"overlayd/internal/lab/sim"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// Options vary a run.
type Options struct {
	Seed     *uint64   // in the place of the study's
	Progress io.Writer // is told of every slice, unless it is nil
}

// Run runs the study in a file.
func Run(ctx context.Context, file string, o Options) (Report, error) {
	s, err := Load(file)
	if err != nil {
		return Report{}, err
	}
	return s.Run(ctx, o)
}

// Run runs a study: each algorithm by itself, in the same network with the same seed.
func (s *Study) Run(ctx context.Context, o Options) (Report, error) {
	matrices, err := s.matrices()
	if err != nil {
		return Report{}, err
	}
	seed := s.Seed
	if o.Seed != nil {
		seed = *o.Seed
	}
	pairs := s.Pairs.choose(matrices[0].Len(), s.Matrix.Seed)
	report := Report{
		Study: s.Name, Description: s.Description, Nodes: matrices[0].Len(), Pairs: len(pairs), Seed: seed,
		Slices: len(matrices),
	}
	for _, name := range s.Algorithms {
		algorithm, err := pathselect.Lookup(name)
		if err != nil {
			return report, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		w := s.build(matrices, algorithm, seed)
		w.progress = o.Progress
		if err := w.play(ctx, turns(pairs, s.together(len(pairs)))); err != nil {
			return report, err
		}
		report.Results = append(report.Results, w.result(name))
	}
	return report, nil
}

// together is how many pairs have data at the same time.
func (s *Study) together(pairs int) int {
	if s.Active == 0 {
		return pairs
	}
	return s.Together
}

// world is a network in which one algorithm is tried.
type world struct {
	*Study
	net     *sim.Net
	hosts   []*sim.Host
	index   map[wire.NodeID]int
	slices  []*matrix.Matrix
	oracles []*matrix.Oracle
	slice   int // that holds now
	begun   time.Duration
	faults  map[pair]sim.Link // cut or lossy, both ways

	turn     int
	progress io.Writer
	seen     observations
}

// build makes the network, all of whose nodes know each other and have just started.
func (s *Study) build(matrices []*matrix.Matrix, algorithm pathselect.Algorithm, seed uint64) *world {
	w := &world{
		Study: s, net: sim.New(seed), slices: matrices,
		index: make(map[wire.NodeID]int), faults: make(map[pair]sim.Link), seen: observations{packets: newPackets(matrices[0].Len())},
	}
	founder := w.net.Found()
	for i := range matrices[0].Len() {
		h := founder.Host(fmt.Sprintf("node-%d", i+1), sim.Options{Algorithm: algorithm, Select: s.Select.config()})
		w.index[h.ID] = i
		w.hosts = append(w.hosts, h)
		h.Delivered = func(from *sim.Host, seq uint64, _ time.Time) { w.seen.packets.deliver(pair{w.index[from.ID], i}, seq) }
	}
	w.net.Between = w.between
	founder.Introduce(w.hosts...)
	for _, m := range matrices {
		w.oracles = append(w.oracles, matrix.NewOracle(m, priceOf(algorithm)))
	}
	return w
}

// between is the underlay between two hosts at present.
func (w *world) between(from, to *sim.Host) sim.Link {
	a, b := w.index[from.ID], w.index[to.ID]
	l := w.faults[pair{min(a, b), max(a, b)}]
	l.Delay = w.slices[w.slice].RTT(a, b) / 2
	l.Jitter = time.Duration(float64(w.Jitter) * float64(l.Delay))
	return l
}

// play lets the network settle, then lets pairs have data, slice after slice.
func (w *world) play(ctx context.Context, turns [][]pair) error {
	w.start()
	if err := w.run(ctx, w.Settle-min(w.Settle, idleFor)); err != nil {
		return err
	}
	before := w.traffic()
	if err := w.run(ctx, min(w.Settle, idleFor)); err != nil {
		return err
	}
	w.seen.idle = w.since(before, min(w.Settle, idleFor))
	w.count()
	w.begun = w.net.Now()
	w.plan()
	before = w.traffic()
	for i := range w.slices {
		w.slice = i
		begin := w.net.Now()
		for n := 0; n < len(turns) || w.net.Now()-begin < w.Matrix.Hold; n++ {
			length := w.Active
			if length == 0 {
				length = w.Matrix.Hold
			}
			if err := w.take(ctx, turns[n%len(turns)], length); err != nil {
				return err
			}
		}
		if w.progress != nil {
			fmt.Fprintf(w.progress, "slice %d of %d, %v of virtual time\n", i+1, len(w.slices), w.net.Now())
		}
	}
	w.seen.active = w.since(before, w.net.Now()-w.begun)
	return w.run(ctx, underway)
}

// underway is how long the last packets may take.
const underway = 5 * time.Second

// idleFor is how long the traffic of a network without data is measured.
const idleFor = time.Minute

// start starts the hosts over a while, as nobody starts a whole network at one moment.
func (w *world) start() {
	for i, h := range w.hosts {
		w.net.After(time.Duration(i)*startFor/time.Duration(len(w.hosts)), h.Start)
	}
}

const startFor = 10 * time.Second

// run lets time pass.
func (w *world) run(ctx context.Context, d time.Duration) error {
	for ; d > 0; d -= second {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.net.Run(min(d, second))
	}
	return nil
}

const second = time.Second

// plan lets the faults happen at their times.
func (w *world) plan() {
	if len(w.Faults) > 0 {
		first := slices.MinFunc(w.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
		w.net.After(first.At, w.seen.packets.restart)
	}
	for i := range w.Faults {
		f := &w.Faults[i]
		two := f.pair()
		p := pair{min(two[0], two[1]) - 1, max(two[0], two[1]) - 1}
		w.net.After(f.At, func() {
			switch {
			case len(f.Cut) > 0:
				w.faults[p] = sim.Link{Cut: true}
			case len(f.Lossy) > 0:
				w.faults[p] = sim.Link{Loss: float64(f.Loss)}
			default:
				delete(w.faults, p)
			}
		})
	}
}

// take lets some pairs have data for a while, and looks at them each second.
func (w *world) take(ctx context.Context, pairs []pair, length time.Duration) error {
	w.turn++
	turn, begin := w.turn, w.net.Now()
	for i, p := range pairs {
		a, b := w.hosts[p.a], w.hosts[p.b]
		send := func() bool {
			if w.turn != turn || w.net.Now()-begin >= length {
				return false
			}
			w.seen.packets.send(p, a.Send(b))
			w.seen.packets.send(pair{p.b, p.a}, b.Send(a))
			return true
		}
		w.net.After(time.Duration(i)*w.Data/time.Duration(len(pairs)), func() {
			send()
			w.net.Every(w.Data, send)
		})
	}
	before := w.switches(pairs)
	for age := second; age <= length; age += second {
		if err := w.run(ctx, second); err != nil {
			return err
		}
		w.look(pairs, int(age/second), age+second > length)
	}
	for i, n := range w.switches(pairs) {
		w.seen.switches = append(w.seen.switches, float64(max(n-before[i], 0)))
	}
	w.seen.watched += time.Duration(2*len(pairs)) * length
	return nil
}
