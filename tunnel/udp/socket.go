package udp

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gsoPause is how long a socket goes without UDP_SEGMENT after the kernel refused it for lack of checksum offload: the
// route may lead to another interface by then.
const gsoPause = time.Minute

// Socket is a UDP socket of one family. Any number of goroutines may send on it; each reads through its own Reader.
type Socket struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort
	six   bool

	canSegment bool // the kernel knows UDP_SEGMENT
	detours    atomic.Pointer[Detours]
	plainUntil atomic.Int64 // Unix nanoseconds until which UDP_SEGMENT is not tried; zero: try
}

func newSocket(conn *net.UDPConn, six bool) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: conn, raw: raw, six: six}
	s.local = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(s.local.Addr().Unmap(), s.local.Port())
	if six && !s.local.Addr().Is6() {
		s.local = netip.AddrPortFrom(netip.IPv6Unspecified(), s.local.Port())
	}
	err = raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		s.canSegment = err == nil
	})
	return s, err
}

// configure sets the options of a new socket. All but one only make it better: an old kernel may refuse them.
func configure(network, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(raw uintptr) {
		fd := int(raw)
		if network == "udp6" {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		} else {
			// Without "don't fragment", as in the kernel's WireGuard: a path of a smaller MTU then costs
			// fragments, and never swallows everything because an ICMP message was filtered.
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
		}
		for option, force := range map[int]int{
			unix.SO_RCVBUF: unix.SO_RCVBUFFORCE,
			unix.SO_SNDBUF: unix.SO_SNDBUFFORCE,
		} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, bufferSize) != nil { // needs CAP_NET_ADMIN
				_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, bufferSize)
			}
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}

// LocalAddr is the address that the socket is bound to, with the port that it got.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Is6 reports whether the socket carries IPv6 rather than IPv4.
func (s *Socket) Is6() bool { return s.six }

// SetMark sets SO_MARK, by which policy routing can tell the socket's datagrams.
func (s *Socket) SetMark(mark uint32) error {
	var err error
	if controlErr := s.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	}); controlErr != nil {
		return controlErr
	}
	return err
}

// Segments reports whether datagrams are sent with UDP_SEGMENT at present.
func (s *Socket) Segments() bool {
	if !s.canSegment {
		return false
	}
	until := s.plainUntil.Load()
	if until == 0 {
		return true
	}
	if time.Now().UnixNano() < until {
		return false
	}
	s.plainUntil.Store(0)
	return true
}

// pauseSegments stops the use of UDP_SEGMENT for a while.
func (s *Socket) pauseSegments() { s.plainUntil.Store(time.Now().Add(gsoPause).UnixNano()) }

// Close closes the socket and ends every Read on it.
func (s *Socket) Close() error { return s.conn.Close() }
