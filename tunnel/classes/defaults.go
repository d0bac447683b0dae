package classes

import "overlayd/internal/wire"

// defaults are the classes of what no rule is for, by code point: as RFC 4594 means them, with what later ones added.
// Nothing is critical unless somebody says so, since that costs twice the bandwidth all the time. Streams that a player
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
