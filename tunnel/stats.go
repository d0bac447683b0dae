package tunnel

import (
	"sync/atomic"

	"overlayd/internal/wire"
)

// Stats are counts since Open. They are of datagrams where nothing else is said.
type Stats struct {
	Forwarded     uint64 // with a label that goes on, handed to the kernel
	ForwardFailed uint64 // with a label that goes on, not taken by the kernel
	SendFailed    uint64 // own, not taken by the kernel: no route, firewall, or send buffer full
	NoPath        uint64 // from wireguard-go for a peer without any path, or beyond what may be sent on one that never answered
	UnknownLabel  uint64 // with a label that means nothing, or not to that neighbour
	Ignored       uint64 // of no known class, misplaced in a label frame, or not for wireguard-go as things are
	EventsDropped uint64 // events for which the queue had no room
	NoPeer        uint64 // packets from the TUN interface to an address of no peer
	NotAdmitted   uint64 // packets from the TUN interface for a peer that cannot be reached yet
	OutRefused    uint64 // packets from the TUN interface with a source that is not of this site, or no way to carry them
	InRefused     uint64 // packets from a peer that it may not send, or that may not go where they want to
	OverCeiling   uint64 // with a label that goes on, beyond what the node spends on relaying
	DevicePeers   uint64 // not a count: the peers that wireguard-go has now
	Classes       [wire.TrafficClasses]ClassStats
}

// ClassStats are counts of the transport messages of one traffic class. Keepalives are of the default one.
type ClassStats struct {
	Packets    uint64 // from wireguard-go
	Copies     uint64 // sent on a second path
	OverBudget uint64 // not sent on it, because too many were
}

type classCounters struct{ packets, copies, overBudget atomic.Uint64 }

type counters struct {
	forwarded, forwardFailed, sendFailed, noPath, unknownLabel, ignored atomic.Uint64
	noPeer, notAdmitted, outRefused, inRefused, overCeiling             atomic.Uint64
	classes                                                             [wire.TrafficClasses]classCounters
}

// Stats returns the counts at this moment.
func (p *Plane) Stats() Stats {
	c := &p.count
	s := Stats{
		Forwarded:     c.forwarded.Load(),
		ForwardFailed: c.forwardFailed.Load(),
		SendFailed:    c.sendFailed.Load(),
		NoPath:        c.noPath.Load(),
		UnknownLabel:  c.unknownLabel.Load(),
		Ignored:       c.ignored.Load(),
		EventsDropped: p.events.dropped.Load(),
		NoPeer:        c.noPeer.Load(),
		NotAdmitted:   c.notAdmitted.Load(),
		OutRefused:    c.outRefused.Load(),
		InRefused:     c.inRefused.Load(),
		OverCeiling:   c.overCeiling.Load(),
		DevicePeers:   uint64(len(*p.peers.live.Load())),
	}
	for i := range c.classes {
		k := &c.classes[i]
		s.Classes[i] = ClassStats{Packets: k.packets.Load(), Copies: k.copies.Load(), OverBudget: k.overBudget.Load()}
	}
	return s
}
