// Package udp is UDP for a data plane on Linux: many datagrams a system call, nothing allocated per call, and no error
// of the network that ends anything.
//
//	Reader  recvmmsg(2) ──▶ messages; with UDP_GRO one message is many datagrams of one sender:
//
//	          Data     ├── Segment ──┼── Segment ──┼── Segment ──┼─ rest ─┤
//
//	Batch   messages ──▶ sendmmsg(2); with UDP_SEGMENT the kernel cuts a message into datagrams again:
//
//	          vectors  │prefix│ payload │prefix│ payload │prefix│ payl. │
//	                   ├─── segment ────┼──── segment ───┼── shorter ───┤
//
// It never looks into a payload.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrPortInUse is what Listen wraps when another process has the port.
var ErrPortInUse = errors.New("UDP port in use by another process: stop that one, or choose another port with --listen")

// ErrNoAddress is what Listen wraps when the address is none of this machine's.
var ErrNoAddress = errors.New("no interface has this address: choose another one, or none, with --listen")

// ErrFull is what Send returns when the kernel's send buffer is full: what did not fit was dropped.
var ErrFull = errors.New("send buffer full")

// PrefixLen is the length in bytes of what Batch can put in front of each datagram without copying it.
const PrefixLen = 8

const (
	maxSegments  = 64              // UDP_MAX_SEGMENTS of Linux before 6.9
	maxPayload   = 1<<16 - 1 - 8   // of a UDP datagram, and of what UDP_SEGMENT takes at once, over IPv6
	maxPayload4  = maxPayload - 20 // over IPv4, whose total length counts the IP header
	maxDatagram  = 1<<16 - 1       // what one message read can hold
	portAttempts = 100             // for two free ports of the same number
	bufferSize   = 7 << 20         // of a socket; what WireGuard implementations ask for
)

// Listen opens the sockets for one address. An address that is unspecified or not valid stands for all of them, of both
// families on one port, without IPv6 where that is not available; a specific address gives one socket. Port zero takes
// any port. The order is IPv4, IPv6.
func Listen(at netip.AddrPort) ([]*Socket, error) {
	if at.Addr().IsValid() && !at.Addr().Unmap().IsUnspecified() {
		s, err := open(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
		if err != nil {
			return nil, err
		}
		return []*Socket{s}, nil
	}
	for attempt := 1; ; attempt++ {
		sockets, err := listenBoth(at.Port())
		if at.Port() == 0 && errors.Is(err, ErrPortInUse) && attempt < portAttempts {
			continue
		}
		return sockets, err
	}
}

func listenBoth(port uint16) ([]*Socket, error) {
	four, err4 := open(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err4 != nil && !errors.Is(err4, syscall.EAFNOSUPPORT) {
		return nil, err4
	}
	var sockets []*Socket
	if four != nil {
		sockets = append(sockets, four)
		port = four.LocalAddr().Port()
	}
	six, err6 := open(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	switch {
	case err6 == nil:
		sockets = append(sockets, six)
	case four == nil:
		return nil, err6
	case errors.Is(err6, ErrPortInUse):
		four.Close()
		return nil, err6
	}
	return sockets, nil
}

func open(at netip.AddrPort) (*Socket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	config := net.ListenConfig{Control: configure}
	conn, err := config.ListenPacket(context.Background(), network, at.String())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %v: %w", at, ErrPortInUse)
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("listen on %v: %w", at, ErrNoAddress)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", at, err)
	}
	s, err := newSocket(conn.(*net.UDPConn), at.Addr().Is6())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %v: %w", at, err)
	}
	return s, nil
}
