// Package lan answers for a gateway address that several nodes of one site share: the router that hosts on a LAN have
// been told, and which no node has as an address of its kernel. Only one node at a time holds it. It answers ARP
// requests (RFC 826) or neighbour solicitations (RFC 4861) for it with its own MAC address; the packets that then come
// are forwarded by the kernel, like all that are for this MAC address and not for this host. When the process ends,
// however it ends, nobody answers any more; who takes over announces himself, and the caches of the hosts change at once
// (RFC 5227, section 3; RFC 4861, section 7.2.6).
//
// Who holds the address is for the caller to decide. Responder (pure) knows what to say, Gateway says it:
//
//	                        Hold                                          frame: "who has G?"   answer
//	+--------+  ------------------------------>  +------+  <----------+   from the LAN's networks, so many a second
//	|  idle  |  announce: now, 0.3 s, 1.5 s,     | held |             |
//	+--------+  then every 30 s                  +------+  -----------+   frame: "I have G", from another station
//	     ^                                          |                     count, announce again, once a second at most
//	     |  at first: ask twice who has G,          |
//	     |  and tell if anybody does                |
//	     +------------------------------------------+
//	                      Release: fall silent
package lan

import (
	"errors"
	"net"
)

// What can keep a gateway address from being answered for.
var (
	ErrNoLAN = errors.New("no Ethernet interface of this host has a network with this gateway address: " +
		"give the LAN's interface an address in that network, or correct the gateway")
	ErrZone = errors.New("a link-local gateway address needs its interface: write it as fe80::1%eth1")
	ErrOwn  = errors.New("the gateway address is one of this host, so every node of the site would answer for it: " +
		"give the interface another one, and leave this one to overlayd")
	ErrPermission = errors.New("answering for a gateway address needs root or CAP_NET_RAW: run this with sudo")

	// ErrFrame is for frames that are malformed, or neither ARP nor neighbour discovery.
	ErrFrame = errors.New("not a frame of ARP or neighbour discovery")
)

// MAC is a hardware address of Ethernet.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// unicast reports whether it can be a station's.
func (m MAC) unicast() bool { return m[0]&1 == 0 && m != MAC{} }
