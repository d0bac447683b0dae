package tunnel

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// host is a network namespace with a TUN interface in it. What is done there is done on a thread of its own.
type host struct {
	t    testing.TB
	work chan func()
	tun  tun.Device
	addr netip.Addr
}

// newHost makes a namespace, or skips the test where that is not allowed.
func newHost(t testing.TB, number byte) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces and TUN interfaces")
	}
	h := &host{t: t, work: make(chan func()), addr: netip.AddrFrom4([4]byte{10, 71, 0, number})}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with both
		ready <- h.build()
		for f := range h.work {
			f()
		}
	}()
	t.Cleanup(func() { close(h.work) })
	if err := <-ready; err != nil {
		t.Skipf("no namespace with a TUN interface here: %v", err)
	}
	return h
}

func (h *host) build() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	var err error
	if h.tun, err = tun.CreateTUN("tun0", 1400); err != nil {
		return err
	}
	link, err := netlink.LinkByName("tun0")
	if err != nil {
		return err
	}
	six := netip.AddrFrom16([16]byte{0: 0xfd, 15: h.addr.As4()[3]})
	for _, prefix := range []netip.Prefix{netip.PrefixFrom(h.addr, 24), netip.PrefixFrom(six, 64)} {
		address, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return err
		}
		address.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// do runs f in the namespace and waits for it.
func (h *host) do(f func() error) {
	h.t.Helper()
	done := make(chan error)
	h.work <- func() { done <- f() }
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
}

// newHostSite is a site whose host is a real one. The plane's sockets are in the namespace of the test.
func newHostSite(t testing.TB, number byte) (*site, *host) {
	t.Helper()
	h := newHost(t, number)
	s := newSiteOn(t, number, h.tun)
	return s, h
}

func connectedHosts(t testing.TB) (a, b *host) {
	t.Helper()
	siteA, a := newHostSite(t, 1)
	siteB, b := newHostSite(t, 2)
	for from, to := range map[*site]*site{siteA: siteB, siteB: siteA} {
		allowed := prefixes(to.inner.String()+"/32", fmt.Sprintf("fd00::%d/128", to.inner.As4()[3]))
		if err := from.plane.AddPeer(to.id, to.public, allowed); err != nil {
			t.Fatal(err)
		}
		from.plane.Publish(directTable(to, pathTo(to, to.addr(), 0)))
	}
	return a, b
}

func TestRealInterfacesCarryTCPUnharmed(t *testing.T) {
	a, b := connectedHosts(t)
	if newHostIO(a.tun) == nil {
		t.Skip("the kernel's TUN interface has no offloads")
	}
	for _, address := range []string{"10.71.0.2", "fd00::2"} {
		sent, got := transfer(t, a, b, address, 30<<20)
		if !bytes.Equal(sent, got) {
			t.Errorf("to %s: what came is not what was sent", address)
		}
	}
}

// transfer sends that many bytes over TCP and returns the hashes at both ends.
func transfer(t testing.TB, from, to *host, address string, size int64) (sent, got []byte) {
	t.Helper()
	var listener net.Listener
	to.do(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
		return err
	})
	defer listener.Close()
	result := make(chan []byte)
	go func() {
		hash := sha256.New()
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			io.Copy(hash, conn)
		}
		result <- hash.Sum(nil)
	}()
	var conn net.Conn
	from.do(func() (err error) {
		conn, err = net.DialTimeout("tcp", listener.Addr().String(), patience)
		return err
	})
	hash := sha256.New()
	random := io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
	conn.SetDeadline(time.Now().Add(3 * patience))
	if _, err := io.Copy(io.MultiWriter(conn, hash), random); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return hash.Sum(nil), <-result
}

func TestRealInterfacesCarryDatagramsUnharmed(t *testing.T) {
	a, b := connectedHosts(t)
	var in, out *net.UDPConn
	b.do(func() (err error) {
		in, err = net.ListenUDP("udp4", &net.UDPAddr{IP: b.addr.AsSlice()})
		return err
	})
	defer in.Close()
	a.do(func() (err error) {
		out, err = net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
		return err
	})
	defer out.Close()
	buffer := make([]byte, 2000)
	in.SetDeadline(time.Now().Add(patience))
	for size := 1; size <= 1372; size += 57 {
		datagram := bytes.Repeat([]byte{byte(size)}, size)
		for range 3 {
			if _, err := out.Write(datagram); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			n, err := in.Read(buffer)
			if err != nil || !bytes.Equal(buffer[:n], datagram) {
				t.Fatalf("got %d bytes, want %d: %v", n, size, err)
			}
		}
	}
}

func TestRealInterfacesCarryJoinedDatagramsUnharmed(t *testing.T) {
	a, b := connectedHosts(t)
	var in, out *wireEnd
	a.do(func() error {
		out = newWireEndAt(t, netip.AddrPortFrom(a.addr, 0))
		return nil
	})
	b.do(func() error {
		in = newWireEndAt(t, netip.AddrPortFrom(b.addr, 0))
		return nil
	})
	var first, more [][]byte
	for i := range 40 {
		first = append(first, bytes.Repeat([]byte{byte(i)}, 700))
		more = append(more, bytes.Repeat([]byte{byte(i)}, 1200))
	}
	more = append(more, []byte("a short one"))
	out.send(in.addr(), first[:1]...) // few packets may wait for the session
	in.expect(first[:1]...)
	out.send(in.addr(), first...)
	out.send(in.addr(), more...)
	in.expect(first...)
	in.expect(more...)
}
