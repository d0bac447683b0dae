package lab

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/scenario"
)

// exchange is a socket at each of two sites, on the addresses that a scenario gave them.
type exchange struct {
	from, to *net.UDPConn
}

func newExchange(t *testing.T, w *world, from, to netip.Addr, fromSite, toSite string) exchange {
	t.Helper()
	open := func(site string, local, remote netip.AddrPort) (c *net.UDPConn) {
		err := w.place(site).Do(func() (err error) {
			if remote.IsValid() {
				c, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(local), net.UDPAddrFromAddrPort(remote))
				return err
			}
			c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	at := netip.AddrPortFrom(to, 7007)
	return exchange{
		to:   open(toSite, at, netip.AddrPort{}),
		from: open(fromSite, netip.AddrPortFrom(from, 0), at),
	}
}

// arrives reports whether a payload gets there.
func (x exchange) arrives(t *testing.T, payload []byte) bool {
	t.Helper()
	return x.arrivesWithin(t, 200*ms, payload)
}

// arrivesWithin waits for a payload for so long.
func (x exchange) arrivesWithin(t *testing.T, wait time.Duration, payload []byte) bool {
	t.Helper()
	if _, err := x.from.Write(payload); err != nil {
		t.Fatal(err)
	}
	if err := x.to.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, err := x.to.Read(b)
	return err == nil && n == len(payload)
}

func message(first byte, size int) []byte {
	b := make([]byte, size)
	b[0] = first
	return b
}

func TestALinkDropsTypesAndSizesInOneDirection(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -> b: {drop: {types: 4, larger: 1200}}, b -> a: {}}")
	there := newExchange(t, w, w.sites["a"].public, w.sites["b"].public, "a", "b")
	for _, c := range []struct {
		payload []byte
		want    bool
	}{
		{message(4, 100), false},
		{message(1, 148), true},
		{message(2, 92), true},
		{message('x', 1172), true}, // 1,200 bytes with its headers
		{message('x', 1173), false},
	} {
		if got := there.arrives(t, c.payload); got != c.want {
			t.Errorf("type %d of %d bytes arrives: %v", c.payload[0], len(c.payload), got)
		}
	}
	back := newExchange(t, w, w.sites["b"].public, w.sites["a"].public, "b", "a")
	if !back.arrives(t, message(4, 1300)) {
		t.Error("the other direction drops as well")
	}
	pair := scenario.Pair{From: "a", To: "b"}
	w.change(pair, scenario.Change{Drop: &scenario.Drop{}}.Of)
	if !there.arrives(t, message(4, 1300)) {
		t.Error("a drop that was ended goes on")
	}
}

// mtuTo is the path MTU that the kernel has for a connected socket.
func mtuTo(t *testing.T, c *net.UDPConn) (mtu int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { mtu, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU) }); err != nil {
		t.Fatal(err)
	}
	return mtu
}

func TestTheKernelLearnsTheMTUOfALinkThatTellsIt(t *testing.T) {
	for _, c := range []struct {
		back string
		told bool
	}{{"{}", true}, {"{drop: {icmp: true}}", false}} {
		w := worldOf(t, strings.Replace("sites: {a: {}, b: {}}\nlinks: {a -> b: {mtu: 1300}, b -> a: BACK}", "BACK", c.back, 1))
		x := newExchange(t, w, w.sites["a"].public, w.sites["b"].public, "a", "b")
		if x.arrives(t, message('x', 1400)) {
			t.Fatal("a packet above the MTU arrives")
		}
		if want := map[bool]int{true: 1300, false: 1500}[c.told]; mtuTo(t, x.from) != want {
			t.Errorf("back %s: the kernel's MTU is %d, want %d", c.back, mtuTo(t, x.from), want)
		}
		if _, err := x.from.Write(message('x', 1400)); errors.Is(err, unix.EMSGSIZE) != c.told {
			t.Errorf("back %s: the next packet: %v", c.back, err)
		}
		if !x.arrives(t, message('x', 1200)) {
			t.Error("a packet below the MTU does not arrive")
		}
	}
}
