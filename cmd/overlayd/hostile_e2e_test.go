package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"overlayd/config"
	"overlayd/internal/lab/netns"
	"overlayd/internal/wire"
)

// internet is three members and a stranger around one router.
type internet struct {
	*region
	belmont, cambridge, boston *service
	stranger                   *netns.Namespace
	recorded                   *recorder
}

func newInternet(t testing.TB) *internet {
	t.Helper()
	w := &internet{region: newRegion(t)}
	w.recorded = w.record(w.router)
	w.belmont = w.node("belmont", w.machine(1))
	w.cambridge = w.node("cambridge", w.machine(2))
	w.boston = w.node("boston", w.machine(3))
	w.stranger = w.machine(4)

	w.belmont.start()
	for _, d := range []*service{w.cambridge, w.boston} {
		w.join(d)
	}
	w.eventually(readyPatience, func() error {
		return errors.Join(w.belmont.reaches("boston"), w.boston.reaches("cambridge"), w.cambridge.reaches("belmont"))
	})
	return w
}

// join makes a node a member and starts it.
func (w *internet) join(d *service) {
	w.Helper()
	token := w.belmont.invite(netip.AddrPortFrom(underlay(1), config.DefaultPort).String())
	w.ns = d.ns // where the newcomer runs
	w.works(w.overlayd("join", token, "--name", d.name, "--state", d.state))
	d.start()
}

// members are the daemons.
func (w *internet) members() []*service { return []*service{w.belmont, w.cambridge, w.boston} }

// reaches reports whether data to a peer has exactly these relays.
func (d *service) reaches(peer string, via ...string) error {
	p := d.paths()[peer]
	if p.Selected == nil || p.State != "up" || !slices.Equal(p.Selected.Via, via) {
		return fmt.Errorf("%s reaches %s by %+v, %s", d.name, peer, p.Selected, p.State)
	}
	return nil
}

// echo sends numbered datagrams over the overlay and counts what comes back.
type echo struct {
	*drum
	back atomic.Int64
}

const echoEvery = 10 * time.Millisecond

// echo begins to send datagrams from one member to another, which returns them.
func (w *internet) echo(from, to *service) *echo {
	w.Helper()
	server := w.listenUDP(to.ns, netip.AddrPortFrom(to.status().Addresses[0], 7).String())
	go func() {
		buf := make([]byte, 64)
		for {
			n, addr, err := server.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = server.WriteToUDPAddrPort(buf[:n], addr)
			}
		}
	}()
	client := w.listenUDP(from.ns, netip.AddrPortFrom(from.status().Addresses[0], 0).String())
	e := &echo{drum: newDrum()}
	go e.receive(client)
	go e.beat(client, server.LocalAddr().(*net.UDPAddr).AddrPort(), echoEvery)
	w.Cleanup(e.end)
	return e
}

func (e *echo) receive(conn *net.UDPConn) {
	buf := make([]byte, 64)
	for {
		if _, err := conn.Read(buf); errors.Is(err, net.ErrClosed) {
			return
		} else if err == nil {
			e.back.Add(1)
		}
	}
}

// condition is what a flood may not change.
type condition struct {
	paths      string
	goroutines uint64
	known      uint64 // paths that are measured
	relayed    uint64 // circuits
	resident   int64  // bytes
}

func (d *service) condition() condition {
	d.Helper()
	var c condition
	for _, peer := range sortedKeys(d.paths()) {
		p := d.paths()[peer]
		c.paths += fmt.Sprintf("%s: %v, %d switches;", peer, p.Selected.Via, p.Switches)
		for _, candidate := range p.Candidates {
			if strings.HasPrefix(candidate.Endpoint, underlay(4).String()+":") {
				d.Errorf("%s holds the stranger for %s: %+v", d.name, peer, candidate)
			}
		}
	}
	counters := d.status().Counters
	c.goroutines, c.known, c.relayed = counters["goroutines"], counters["paths"], counters["circuits_relayed"]
	c.resident, _ = memory(d.process.PID())
	return c
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// A flood of garbage and of recorded frames changes nothing, and pays nobody.
func TestAStrangerIsIgnored(t *testing.T) {
	t.Parallel()
	w := newInternet(t)
	traffic := w.echo(w.belmont, w.boston)
	w.recorded.has(w.bench, map[wire.Class]int{wire.ClassControl: 40, wire.ClassWireGuard: 40, wire.ClassJoin: 2})
	w.must(w.router.Block(underlay(1), underlay(3)))
	w.eventually(readyPatience, func() error {
		return errors.Join(w.belmont.reaches("boston", "cambridge"), w.boston.reaches("belmont", "cambridge"))
	})
	w.recorded.has(w.bench, map[wire.Class]int{wire.ClassLabel: 300})

	before := map[string]condition{}
	for _, d := range w.members() {
		before[d.name] = d.condition()
	}
	sent, back := traffic.sent.Load(), traffic.back.Load()
	s, stop := w.flood()
	<-time.After(floodFor)
	stop()
	sent, back = traffic.sent.Load()-sent, traffic.back.Load()-back
	t.Logf("during the flood %d of %d echoes came back", back, sent)
	if float64(back) < 0.95*float64(sent) {
		t.Errorf("during the flood only %d of %d echoes came back", back, sent)
	}
	for _, d := range w.members() {
		was := before[d.name]
		t.Logf("%s: %+v; %v", d.name, d.condition(), d.status().Counters)
		w.eventually(readyPatience, func() error {
			is := d.condition()
			if is.paths != was.paths || is.known > was.known || is.relayed > was.relayed || is.goroutines > was.goroutines+4 {
				return fmt.Errorf("%s was %+v and is %+v", d.name, was, is)
			}
			if is.resident > was.resident+mayGrow {
				return fmt.Errorf("%s had %d bytes and has %d", d.name, was.resident, is.resident)
			}
			return nil
		})
	}
	s.gotNoMoreThanItGave(t)
}

const (
	floodFor = 4 * time.Second
	mayGrow  = 20 << 20 // what the buffers of a flood need, and keep; a longer one needs no more
)

// Under a flood a node that was killed finds its place again, and a newcomer gets in.
func TestAStrangerKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	w := newInternet(t)
	traffic := w.echo(w.belmont, w.boston)
	w.recorded.has(w.bench, map[wire.Class]int{wire.ClassControl: 40, wire.ClassWireGuard: 40, wire.ClassJoin: 4})
	s, stop := w.flood()
	w.boston.process.Kill()
	killed := time.Now()
	w.boston.start()
	back := traffic.back.Load()
	w.eventually(readyPatience, func() error {
		if n := traffic.back.Load() - back; n < 20 {
			return fmt.Errorf("%d echoes came back from the node that was killed", n)
		}
		return nil
	})
	t.Logf("%v after it was killed the node answers", time.Since(killed))

	newton := w.node("newton", w.machine(5))
	w.join(newton)
	w.eventually(readyPatience, func() error {
		return errors.Join(newton.reaches("belmont"), newton.reaches("cambridge"), newton.reaches("boston"))
	})
	stop()
	s.gotNoMoreThanItGave(t)
	for _, d := range append(w.members(), newton) {
		if n := len(d.status().Members); n != 4 {
			t.Errorf("%s knows %d members", d.name, n)
		}
		d.condition()
		d.stop()
	}
}

// flood has a stranger send to the three members until stop is called.
func (w *internet) flood() (s *stranger, stop func()) {
	var targets []netip.AddrPort
	for i := range w.members() {
		targets = append(targets, netip.AddrPortFrom(underlay(i+1), config.DefaultPort))
	}
	s = w.bench.stranger(w.stranger, w.recorded, targets)
	end := make(chan struct{})
	done := s.flood(end)
	stop = sync.OnceFunc(func() { close(end); <-done })
	w.Cleanup(stop)
	return s, stop
}
