package virtual

import (
	"fmt"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
	"overlayd/internal/wire"
)

// flight names a packet on its way from one host to another.
type flight struct {
	from, to *sim.Host
	number   uint64
}

// receiveAt lets arrivals at a node do what was asked when the packet was sent.
func (t *trial) receiveAt(n *node) {
	at := n.host
	at.Delivered = func(from *sim.Host, number uint64, _ time.Time) {
		key := flight{from, at, number}
		if arrived := t.underWay[key]; arrived != nil {
			delete(t.underWay, key)
			arrived()
		}
	}
}

// post sends an IP packet of so many bytes over the overlay, and calls arrived when, and if, it has arrived.
func (t *trial) post(d scenario.Pair, packet int, arrived func()) {
	from, to := t.byName[d.From].host, t.byName[d.To].host
	if from == nil || to == nil || from.Core == nil {
		return // no interface, or nobody has that address
	}
	t.underWay[flight{from, to, from.SendSized(to, wire.DefaultTraffic, sealed(packet))}] = arrived
}

// udpIPv4 is the size of the headers of a UDP packet, in bytes.
const udpIPv4 = 28

// sealed is the size of an IP packet as WireGuard sends it: a header of 16 bytes, the packet filled up to a multiple of 16
// if the MTU allows, a tag of 16.
func sealed(packet int) int { return 32 + max(packet, min((packet+15)/16*16, overlayMTU)) }

// startTraffic starts every flow of the scenario.
func (t *trial) startTraffic() error {
	for _, spec := range t.scenario.Traffic {
		if why := t.omitted.flows[spec.Name]; why != "" {
			t.note("left out", spec.Name+": "+why)
			continue
		}
		for _, d := range spec.Flow.Directions() {
			record, err := meter.NewRecord(t.clock(), spec.Every, t.scenario.Duration)
			if err != nil {
				return err
			}
			t.journal.TellGaps(d, spec.Every, record)
			t.records[d] = record
			t.stream(d, spec.Every, spec.Size, record, func() bool { return t.now() < t.scenario.Duration })
		}
		t.note("traffic", fmt.Sprintf("%v, a packet every %v", spec.Flow, spec.Every))
	}
	return nil
}

// stream sends packets at a steady beat, the first at once, while the record has room and goOn says so.
func (t *trial) stream(d scenario.Pair, every time.Duration, size int, r *meter.Record, goOn func() bool) {
	number := 0
	send := func() bool {
		if number == r.Len() || !goOn() {
			return false
		}
		sent := number
		number++
		r.Sent(sent, t.clock().UnixNano())
		t.post(d, size+udpIPv4, func() { r.Arrived(uint64(sent), t.clock().UnixNano()) })
		return true
	}
	if send() {
		t.net.Every(every, send)
	}
}
