package main

import (
	"encoding/binary"
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
	"overlayd/internal/control"
)

// region is a number of sites around one router.
type region struct {
	internet
	sites int
}

// site is a node on a machine of its own at the router.
type site struct {
	*service
	at netip.Addr // on the underlay
}

func newRegion(t testing.TB) *region {
	t.Helper()
	r := &region{internet: internet{bench: newBench(t)}}
	r.router = r.namespace()
	r.must(r.router.Sysctl("ipv4/ip_forward", "1"))
	return r
}

// site is a node that is not started yet.
func (r *region) site(name string) *site {
	r.Helper()
	r.sites++
	return &site{service: r.node(name, r.machine(r.sites)), at: underlay(r.sites)}
}

// network is three members that reach each other: the first has the root key, the others are ordinary nodes.
func (r *region) network(first string, others ...string) []*site {
	r.Helper()
	founder := r.site(first)
	founder.start()
	list := []*site{founder}
	for _, name := range others {
		s := r.site(name)
		s.joins(founder)
		s.start()
		list = append(list, s)
	}
	r.meet(list...)
	return list
}

// meet waits until all reach each other directly.
func (r *region) meet(sites ...*site) {
	r.Helper()
	r.eventually(readyPatience, func() error {
		var errs []error
		for _, from := range sites {
			for _, to := range sites {
				if from != to {
					errs = append(errs, from.reaches(to.name))
				}
			}
		}
		return errors.Join(errs...)
	})
}

// cut makes the router drop all between one side and the other, until Unblock.
func (r *region) cut(one, other []*site) {
	r.Helper()
	for _, a := range one {
		for _, b := range other {
			r.must(r.router.Block(a.at, b.at))
		}
	}
}

// endpoint is where newcomers find the node.
func (s *site) endpoint() string { return netip.AddrPortFrom(s.at, config.DefaultPort).String() }

// here is the bench with programs running on the site's machine.
func (s *site) here() *bench {
	b := *s.bench
	b.ns = s.service.ns
	return &b
}

// join runs overlayd join on the site's machine.
func (s *site) join(token string) result {
	s.Helper()
	return s.here().overlayd("join", token, "--name", s.name, "--state", s.state)
}

// joins makes the node a member by a token of an admin.
func (s *site) joins(admin *site, more ...string) {
	s.Helper()
	s.works(s.join(admin.invite(admin.endpoint(), more...)))
}

// ctl is a command to the daemon.
func (d *service) ctl(args ...string) result {
	d.Helper()
	return d.overlayctl(append([]string{"--socket", d.socket}, args...)...)
}

// does is a command that must succeed; it returns what is printed.
func (d *service) does(args ...string) string {
	d.Helper()
	return d.works(d.ctl(args...))
}

// members are those that the daemon lists, by name.
func (d *service) members() map[string]control.Member {
	d.Helper()
	list, err := d.client.Members(d.Context())
	d.must(err)
	byName := make(map[string]control.Member, len(list))
	for _, m := range list {
		byName[m.Name] = m
	}
	return byName
}

// lists says whether the daemon lists exactly these members.
func (d *service) lists(names ...string) error {
	d.Helper()
	slices.Sort(names)
	if have := sortedKeys(d.members()); !slices.Equal(have, names) {
		return fmt.Errorf("%s lists %v, not %v", d.name, have, names)
	}
	return nil
}

// holdsOut says whether the daemon lists exactly these nodes as put out, or gone.
func (d *service) holdsOut(names ...string) error {
	d.Helper()
	list, err := d.client.Revoked(d.Context())
	d.must(err)
	var have []string
	for _, r := range list {
		have = append(have, r.Name)
	}
	slices.Sort(have)
	slices.Sort(names)
	if !slices.Equal(have, names) {
		return fmt.Errorf("%s holds out %v, not %v", d.name, have, names)
	}
	return nil
}

// ear is an application that hears what comes over the overlay.
type ear struct {
	conn  *net.UDPConn
	mu    sync.Mutex
	heard map[netip.Addr]hearing // guarded by mu
}

// hearing is what came from one address.
type hearing struct {
	n    int
	last time.Time
}

// drumPort is where applications listen.
const drumPort = 7000

// ear opens an application socket on a site's machine, whether the daemon runs or not.
func (s *site) ear() *ear {
	s.Helper()
	e := &ear{conn: s.listenUDP(s.ns, fmt.Sprintf("0.0.0.0:%d", drumPort)), heard: make(map[netip.Addr]hearing)}
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := e.conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				e.mu.Lock()
				h := e.heard[from.Addr().Unmap()]
				e.heard[from.Addr().Unmap()] = hearing{n: h.n + 1, last: time.Now()}
				e.mu.Unlock()
			}
		}
	}()
	return e
}

// of is what came from an address until now.
func (e *ear) of(from netip.Addr) hearing {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[from]
}

// hears waits until more comes from an address, and returns how long that took.
func (e *ear) hears(b *bench, from netip.Addr, patience time.Duration) time.Duration {
	b.Helper()
	begin, before := time.Now(), e.of(from).n
	b.eventually(patience, func() error {
		if e.of(from).n < before+10 {
			return fmt.Errorf("%d datagrams came from %s, and %d before", e.of(from).n-before, from, before)
		}
		return nil
	})
	return time.Since(begin)
}

// goesQuiet waits until nothing has come from an address for a while, and returns when the last came.
func (e *ear) goesQuiet(b *bench, from netip.Addr, patience time.Duration) time.Time {
	b.Helper()
	begin := time.Now()
	b.eventually(patience+quietFor, func() error {
		h := e.of(from)
		if time.Since(h.last) < quietFor || time.Since(begin) < quietFor {
			return fmt.Errorf("%s is still heard, %d datagrams until now", from, h.n)
		}
		return nil
	})
	return e.of(from).last
}

// quietFor is for how long nothing must come from somebody who sends every drumEvery.
const quietFor = time.Second

// drum is an application that sends all the time.
type drum struct {
	sent       atomic.Int64
	stop, done chan struct{}
}

const drumEvery = 5 * time.Millisecond

// drum begins to send from a site's machine to an overlay address. What cannot be sent is not: the interface may be away.
func (s *site) drum(to netip.Addr) *drum {
	s.Helper()
	conn := s.listenUDP(s.ns, "0.0.0.0:0")
	d := &drum{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		ticker := time.NewTicker(drumEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				beat := binary.BigEndian.AppendUint64(nil, uint64(d.sent.Load()))
				if _, err := conn.WriteToUDPAddrPort(beat, netip.AddrPortFrom(to, drumPort)); err == nil {
					d.sent.Add(1)
				}
			case <-d.stop:
				return
			}
		}
	}()
	s.Cleanup(d.end)
	return d
}

func (d *drum) end() {
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	<-d.done
}

// ipv4 is the daemon's IPv4 address on the overlay.
func (d *service) ipv4() netip.Addr {
	d.Helper()
	return d.status().Addresses[0]
}

// says holds what a command prints against words that must be in it.
func (b *bench) says(text string, words ...string) {
	b.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			b.Errorf("%q is missing in what is printed: %s", word, text)
		}
	}
}
