package lan

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"overlayd/internal/lab/netns"
	"overlayd/tunnel/osnet"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a LAN with a host and two routers, each with a network of its own behind it. In both of these is the same
// address, so that what answers there tells which router the host's packet took.
//
//	        lan (bridge)
//	host ────┤
//	         ├──── router 0 ──── far 0: 203.0.113.1, "0"
//	         └──── router 1 ──── far 1: 203.0.113.1, "1"
type site struct {
	lan, host *netns.Namespace
	routers   [2]*netns.Namespace
	conn      net.Conn // of the host, to what is behind the routers
	asked     int      // datagrams that were sent on it
}

// addresses are those of one family.
type addresses struct {
	gateway, behind      string
	lan, host            string
	router, inner, outer [2]string // on the LAN; toward the far end; the far end's
}

var families = map[string]addresses{
	"IPv4": {
		gateway: "192.168.7.1", behind: "203.0.113.1", lan: "192.168.7.0/24", host: "192.168.7.10/24",
		router: [2]string{"192.168.7.2/24", "192.168.7.3/24"},
		inner:  [2]string{"10.99.0.1/30", "10.99.0.5/30"}, outer: [2]string{"10.99.0.2/30", "10.99.0.6/30"},
	},
	"IPv6": {
		gateway: "2001:db8:7::1", behind: "2001:db8:99::1", lan: "2001:db8:7::/64", host: "2001:db8:7::10/64",
		router: [2]string{"2001:db8:7::2/64", "2001:db8:7::3/64"},
		inner:  [2]string{"fd99:0::1/64", "fd99:1::1/64"}, outer: [2]string{"fd99:0::2/64", "fd99:1::2/64"},
	},
}

func newNamespace(t *testing.T) *netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a LAN of network namespaces")
	}
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// newLAN makes a namespace with a bridge, and a function that connects another one's eth0 to it.
func newLAN(t *testing.T) (lan *netns.Namespace, plug func(ns *netns.Namespace, port string)) {
	t.Helper()
	lan = newNamespace(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "bridge"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	must(t, lan.Do(func() error { return netlink.LinkAdd(bridge) }))
	must(t, lan.Up("bridge"))
	return lan, func(ns *netns.Namespace, port string) {
		t.Helper()
		must(t, netns.Connect(lan, port, ns, "eth0", 1500))
		must(t, lan.Do(func() error {
			link, err := netlink.LinkByName(port)
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(link, bridge)
		}))
	}
}

func newSite(t *testing.T, a addresses) *site {
	t.Helper()
	s := &site{host: newNamespace(t)}
	var plug func(*netns.Namespace, string)
	s.lan, plug = newLAN(t)
	plug(s.host, "host")
	everything := netip.PrefixFrom(netip.MustParseAddr(a.gateway), 0).Masked()
	behind := netip.MustParseAddr(a.behind)
	must(t, s.host.AddAddress("eth0", netip.MustParsePrefix(a.host)))
	must(t, s.host.AddRoute("eth0", everything, netip.MustParseAddr(a.gateway)))
	addLinkLocal(t, s.host, "eth0", 10)
	for i := range s.routers {
		router, far := newNamespace(t), newNamespace(t)
		s.routers[i] = router
		plug(router, []string{"router-0", "router-1"}[i])
		must(t, netns.Connect(router, "overlay0", far, "eth0", 1500))
		inner, outer := netip.MustParsePrefix(a.inner[i]), netip.MustParsePrefix(a.outer[i])
		must(t, router.AddAddress("eth0", netip.MustParsePrefix(a.router[i])))
		must(t, router.AddAddress("overlay0", inner))
		if inner.Addr().Is6() { // a router asks for its neighbours from link-local addresses
			addLinkLocal(t, router, "eth0", byte(2+i))
			addLinkLocal(t, router, "overlay0", 1)
			addLinkLocal(t, far, "eth0", 2)
		}
		must(t, router.AddRoute("overlay0", netip.PrefixFrom(behind, behind.BitLen()), outer.Addr()))
		must(t, far.AddAddress("eth0", outer))
		must(t, far.AddAddress("lo", netip.PrefixFrom(behind, behind.BitLen())))
		must(t, far.AddRoute("eth0", everything, inner.Addr()))
		must(t, router.Do(func() error { return osnet.Forward("overlay0", []netip.Prefix{netip.MustParsePrefix(a.lan)}) }))
		answerWith(t, far, netip.AddrPortFrom(behind, 7), []string{"0", "1"}[i])
	}
	must(t, s.host.Do(func() (err error) {
		s.conn, err = net.Dial("udp", netip.AddrPortFrom(behind, 7).String())
		return err
	}))
	t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

func addLinkLocal(t *testing.T, ns *netns.Namespace, device string, last byte) {
	t.Helper()
	addr := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: last})
	must(t, ns.AddAddress(device, netip.PrefixFrom(addr, 64)))
}

// answerWith answers every datagram with itself, after a word.
func answerWith(t *testing.T, ns *netns.Namespace, at netip.AddrPort, word string) {
	t.Helper()
	var conn *net.UDPConn
	must(t, ns.Do(func() (err error) { conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); return err }))
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(append([]byte(word), buf[:n]...), from)
		}
	}()
}

// awaitRouter has the host send a datagram about every millisecond, until the answer to one tells that it took this
// router.
func (s *site) awaitRouter(t *testing.T, router int, patience time.Duration) bool {
	t.Helper()
	want := []string{"0", "1"}[router]
	first := s.asked + 1 // answers to earlier ones may still come
	buf := make([]byte, 100)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		s.asked++
		_, _ = s.conn.Write([]byte(strconv.Itoa(s.asked)))
		must(t, s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
		n, err := s.conn.Read(buf)
		if err != nil {
			continue
		}
		if answered, err := strconv.Atoi(string(buf[1:n])); err == nil && answered >= first && string(buf[:1]) == want {
			return true
		}
	}
	return false
}

// forget empties the host's cache.
func (s *site) forget(t *testing.T) {
	t.Helper()
	must(t, s.host.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		known, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		for _, n := range known {
			_ = netlink.NeighDel(&n)
		}
		return err
	}))
}

func openGateway(t *testing.T, ns *netns.Namespace, addr string, log *slog.Logger) *Gateway {
	t.Helper()
	var g *Gateway
	must(t, ns.Do(func() (err error) {
		g, err = Open(t.Context(), []netip.Addr{netip.MustParseAddr(addr)}, log)
		return err
	}))
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// The router that is given up says nothing, as if its process had been killed, and goes on forwarding what comes.
func TestAHostFollowsWhoeverHoldsTheGateway(t *testing.T) {
	for name, a := range families {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, a)
			gateway := netip.MustParseAddr(a.gateway)
			held := openGateway(t, s.routers[0], a.gateway, slog.New(slog.DiscardHandler))
			if s.awaitRouter(t, 0, 100*time.Millisecond) {
				t.Fatal("the host gets through, but nobody holds the gateway")
			}
			held.Hold(gateway, true)
			if !s.awaitRouter(t, 0, 5*time.Second) {
				t.Fatal("the host does not reach the first router")
			}
			var took []time.Duration
			for i := range 10 {
				router := 1 - i%2
				must(t, held.Close())
				held = openGateway(t, s.routers[router], a.gateway, slog.New(slog.DiscardHandler))
				begin := time.Now()
				held.Hold(gateway, true)
				if !s.awaitRouter(t, router, 5*time.Second) {
					t.Fatalf("the host does not follow to router %d", router)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			t.Logf("from Hold to the first answer by way of the new router: median %v, at most %v", took[5], took[9])
			if took[9] > 100*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			s.forget(t)
			if !s.awaitRouter(t, 0, 5*time.Second) {
				t.Error("a host that has forgotten the gateway gets no answer")
			}
			held.Hold(gateway, false)
			s.forget(t)
			if s.awaitRouter(t, 0, 100*time.Millisecond) {
				t.Error("a gateway that was given up is still answered for")
			}
		})
	}
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	log strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// eventually looks again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAnotherStationWithTheAddressIsNoticed(t *testing.T) {
	for name, a := range families {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, a)
			gateway := netip.MustParseAddr(a.gateway)
			first := openGateway(t, s.routers[0], a.gateway, slog.New(slog.DiscardHandler))
			first.Hold(gateway, true)
			log := &syncBuffer{}
			second := openGateway(t, s.routers[1], a.gateway, slog.New(slog.NewTextHandler(log, nil)))
			eventually(t, "a warning that it is taken", func() bool { return strings.Contains(log.String(), "another node of this site") })
			second.Hold(gateway, true)
			eventually(t, "both have noticed", func() bool {
				return first.Status()[0].Conflicts > 0 && second.Status()[0].Conflicts > 0
			})
			if !strings.Contains(log.String(), second.Status()[0].Rival.String()) {
				t.Errorf("the log does not name %v:\n%s", second.Status()[0].Rival, log)
			}
		})
	}
}

func TestAnInterfaceMayBeMadeAnew(t *testing.T) {
	a := families["IPv4"]
	s := newSite(t, a)
	gateway := netip.MustParseAddr(a.gateway)
	held := openGateway(t, s.routers[1], a.gateway, slog.New(slog.DiscardHandler))
	held.Hold(gateway, true)
	if !s.awaitRouter(t, 1, 5*time.Second) {
		t.Fatal("the host does not reach the router")
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	must(t, s.routers[1].Do(func() error {
		link, err := netlink.LinkByName("eth0")
		return errors.Join(err, held.Refresh(), netlink.LinkSetHardwareAddr(link, mac), held.Refresh())
	}))
	if !held.Status()[0].Held || held.ports[gateway].at.mac != MAC(mac) {
		t.Errorf("it is held with %v: %v", held.ports[gateway].at.mac, held.Status())
	}
	if !s.awaitRouter(t, 1, 5*time.Second) {
		t.Error("the host does not reach the router any more")
	}
}

func TestNothingRunsAfterTheContext(t *testing.T) {
	ns := newNamespace(t)
	lan, plug := newLAN(t)
	_ = lan
	plug(ns, "node")
	must(t, ns.AddAddress("eth0", netip.MustParsePrefix("192.168.7.2/24")))
	before := goleak.IgnoreCurrent()
	g := openGateway(t, ns, "192.168.7.1", slog.New(slog.DiscardHandler))
	g.Hold(netip.MustParseAddr("192.168.7.1"), true)
	g.Hold(netip.MustParseAddr("192.168.7.99"), true) // none of its addresses
	must(t, g.Close())
	must(t, g.Close())
	g.Hold(netip.MustParseAddr("192.168.7.1"), false)
	goleak.VerifyNone(t, before)
}

func TestWhatCannotBeAGatewayIsSaid(t *testing.T) {
	ns := newNamespace(t)
	_, plug := newLAN(t)
	plug(ns, "node")
	must(t, ns.AddAddress("eth0", netip.MustParsePrefix("192.168.7.2/24")))
	for addr, want := range map[string]error{"192.168.7.2": ErrOwn, "192.168.8.1": ErrNoLAN, "fe80::1": ErrZone} {
		err := ns.Do(func() error {
			_, err := Open(t.Context(), []netip.Addr{netip.MustParseAddr("192.168.7.1"), netip.MustParseAddr(addr)}, slog.Default())
			return err
		})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v, want %v", addr, err, want)
		}
	}
}
