package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/lab/netns"
)

// region is a number of sites around one router.
type region struct {
	*bench
	router *netns.Namespace
	sites  int
}

// site is a node on a machine of its own at the router.
type site struct {
	*service
	at netip.Addr // on the underlay
}

func newRegion(t testing.TB) *region {
	t.Helper()
	r := &region{bench: newBench(t)}
	r.router = r.namespace()
	r.must(r.router.Sysctl("ipv4/ip_forward", "1"))
	return r
}

// underlay is the address of the n-th machine at the router.
func underlay(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(n), 1}) }

// machine is a namespace at the router.
func (r *region) machine(n int) *netns.Namespace {
	r.Helper()
	ns, port := r.namespace(), fmt.Sprintf("port%d", n)
	r.must(netns.Connect(ns, "eth0", r.router, port, 1500))
	gateway := netip.AddrFrom4([4]byte{10, 9, byte(n), 254})
	r.must(ns.AddAddress("eth0", netip.PrefixFrom(underlay(n), 24)))
	r.must(r.router.AddAddress(port, netip.PrefixFrom(gateway, 24)))
	r.must(ns.AddRoute("eth0", netns.DefaultRoute(), gateway))
	return ns
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

// ctlCommand is a command to the daemon, to be run.
func (d *service) ctlCommand(args ...string) *exec.Cmd {
	return d.command("overlayctl", append([]string{"--socket", d.socket}, args...)...)
}

// ctl runs a command to the daemon.
func (d *service) ctl(args ...string) result {
	d.Helper()
	return d.run(d.ctlCommand(args...))
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

// drum is an application that sends numbered datagrams all the time.
type drum struct {
	sent       atomic.Int64
	stop, done chan struct{}
}

const drumEvery = 5 * time.Millisecond

func newDrum() *drum { return &drum{stop: make(chan struct{}), done: make(chan struct{})} }

// drum begins to send from a site's machine to an overlay address.
func (s *site) drum(to netip.Addr) {
	s.Helper()
	d := newDrum()
	go d.beat(s.listenUDP(s.ns, "0.0.0.0:0"), netip.AddrPortFrom(to, drumPort), drumEvery)
	s.Cleanup(d.end)
}

// isHeardBy makes the node send to another one, and waits until that one hears it.
func (s *site) isHeardBy(other *site, within time.Duration) *ear {
	s.Helper()
	e := other.ear()
	s.drum(other.ipv4())
	e.hears(s.bench, s.ipv4(), within)
	return e
}

// beat sends until the end. What cannot be sent is not: the interface may be away.
func (d *drum) beat(conn *net.UDPConn, to netip.AddrPort, every time.Duration) {
	defer close(d.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(nil, uint64(d.sent.Load())), to); err == nil {
				d.sent.Add(1)
			}
		case <-d.stop:
			return
		}
	}
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
