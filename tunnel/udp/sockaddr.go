package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddr is the kernel's form of an address: sockaddr_in, or the longer sockaddr_in6.
//
//	IPv4  family(2)  port(2)  address(4)
//	IPv6  family(2)  port(2)  flow(4)  address(16)  scope(4)
type sockaddr [unix.SizeofSockaddrInet6]byte

// put writes an address and returns its length; zero if the address does not fit a socket of that family.
func (s *sockaddr) put(to netip.AddrPort, six bool) uint32 {
	addr := to.Addr()
	if six {
		if !addr.Is6() || addr.Is4In6() {
			return 0
		}
		binary.NativeEndian.PutUint16(s[0:], unix.AF_INET6)
		binary.BigEndian.PutUint16(s[2:], to.Port())
		clear(s[4:8])
		raw := addr.As16()
		copy(s[8:24], raw[:])
		binary.NativeEndian.PutUint32(s[24:], scopeOf(addr))
		return unix.SizeofSockaddrInet6
	}
	addr = addr.Unmap()
	if !addr.Is4() {
		return 0
	}
	binary.NativeEndian.PutUint16(s[0:], unix.AF_INET)
	binary.BigEndian.PutUint16(s[2:], to.Port())
	raw := addr.As4()
	copy(s[4:8], raw[:])
	clear(s[8:unix.SizeofSockaddrInet4])
	return unix.SizeofSockaddrInet4
}

// get reads an address of the given length; the zero AddrPort if it is none. Only a link-local address keeps a scope.
func (s *sockaddr) get(length uint32, zone *zoneCache) netip.AddrPort {
	port := binary.BigEndian.Uint16(s[2:])
	switch {
	case length >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(s[0:]) == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:8])), port)
	case length >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(s[0:]) == unix.AF_INET6:
		addr := netip.AddrFrom16([16]byte(s[8:24]))
		if scope := binary.NativeEndian.Uint32(s[24:]); scope != 0 && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(zone.name(scope))
		}
		return netip.AddrPortFrom(addr, port)
	}
	return netip.AddrPort{}
}

// addr is the address without port and scope, as put has written it.
func (s *sockaddr) addr(six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte(s[8:24]))
	}
	return netip.AddrFrom4([4]byte(s[4:8]))
}

// zoneCache remembers the last zone, so that traffic with a neighbour on the link does not allocate.
type zoneCache struct {
	scope uint32
	zone  string
}

// name is the zone for an interface index: the index in decimal, which unlike a name needs no look-up.
func (z *zoneCache) name(scope uint32) string {
	if z.scope != scope {
		z.scope, z.zone = scope, strconv.FormatUint(uint64(scope), 10)
	}
	return z.zone
}

// scopeOf is the interface index of a zone, given in decimal or as a name; zero if there is none.
func scopeOf(addr netip.Addr) uint32 {
	zone := addr.Zone()
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
