package classes

import "overlayd/internal/wire"

const portDNS = 53

// dns reports whether a packet is of a DNS lookup, which is critical unless a rule says otherwise: a stub resolver waits 5 s
// for an answer before it asks again (RES_TIMEOUT of glibc), so that one lost packet is what a user notices of an outage of
// a tenth of a second. A lookup is two small packets, so copies cost little, and the budget of copies bounds them. Of TCP
// the whole flow is meant, a zone transfer too, since its packets must not overtake each other.
//
// Not meant are DNS over TLS, HTTPS and QUIC (ports 853 and 443), whose transports repeat what is lost after a round trip or
// two, and multicast DNS (port 5353), which does not leave its link.
func (h *headers) dns() bool {
	return h.ported && (h.protocol == protocolUDP || h.protocol == protocolTCP) && (h.source == portDNS || h.destination == portDNS)
}

// defaults are the classes of everything else that no rule is for, by code point: as RFC 4594 means them, with what later
// ones added. None of it is critical, since that costs twice the bandwidth all the time. Streams that a player
// buffers (AF3, CS3) and large transfers (AF1) are no worse off with the default class than they are without a class.
func defaults() (classes [64]wire.TrafficClass) {
	for _, dscp := range []uint8{
		1, // LE, lower effort (RFC 8622)
		8, // CS1, low-priority data
	} {
		classes[dscp] = wire.Bulk
	}
	for _, dscp := range []uint8{
		18, 20, 22, // AF2, low-latency data: somebody waits for an answer
		32,         // CS4, real-time interactive
		34, 36, 38, // AF4, conferences
		40, // CS5, signalling
		44, // VA, admitted voice (RFC 5865)
		45, // NQB, sparse and in a hurry
		46, // EF, voice
		48, // CS6, routing protocols
		56, // CS7, network control
	} {
		classes[dscp] = wire.Interactive
	}
	return classes
}
