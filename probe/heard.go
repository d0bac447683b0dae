package probe

import (
	"cmp"
	"math/bits"
	"slices"

	"overlayd/internal/wire"
)

// heard is what arrived on one of the peer's paths.
type heard struct {
	path   wire.PathID // the peer's number
	on     wire.PathID // ours, that it last came on
	last   uint32      // highest sequence
	nonce  uint64      // of that probe
	seen   uint64      // bit i: sequence last-i was heard
	probes uint32
	data   uint32  // data packets, up to when another path became the owner of ours
	bytes  uint32  // of these
	at     instant // of the latest probe
	in     window  // sent by the peer, arrived here
	order  order
	runs   uint16 // of missing probes so far
	late   uint16 // probes so far that came after a later one
}

// maxJump is how far a sequence may move without the path being taken for another one with the same number.
const maxJump = 4096

// note counts a probe once.
func (h *heard) note(seq uint32, nonce uint64, at instant) {
	if h.probes == 0 || seq-h.last > maxJump && h.last-seq > maxJump {
		h.last, h.nonce, h.seen = seq, nonce, 1
		h.probes++
		h.in.reset()
		h.order.reset()
	} else if ahead := seq - h.last; int32(ahead) > 0 {
		if ahead > 1 {
			h.runs++
		}
		h.seen = h.seen<<ahead | 1
		h.last, h.nonce = seq, nonce
		h.probes++
	} else if behind := h.last - seq; behind >= bits.UintSize || h.seen&(1<<behind) == 0 {
		if behind < bits.UintSize {
			h.fill(behind)
		}
		h.late++
		h.probes++
	}
	h.at = max(h.at, at)
	h.in.add(at, h.last, h.probes, probeGap, probeStep)
	h.order.add(orderMark{at: at, seq: h.last, got: h.probes, runs: h.runs, late: h.late})
}

// fill enters a late probe, which ends, shortens or splits the run of missing ones that it was counted to.
func (h *heard) fill(behind uint32) {
	before := behind+1 >= bits.UintSize || h.seen&(1<<(behind+1)) != 0
	after := h.seen&(1<<(behind-1)) != 0
	switch {
	case before && after:
		h.runs--
	case !before && !after:
		h.runs++
	}
	h.seen |= 1 << behind
}

// hear enters a probe of the peer in the table, which forgets the path that was silent for longest if it is full.
func (p *Prober) hear(ping *wire.Ping, on *path, at instant) {
	id := ping.Path
	i, found := slices.BinarySearchFunc(p.heard, id, func(h *heard, id wire.PathID) int {
		return cmp.Compare(h.path, id)
	})
	if !found {
		if len(p.heard) >= maxHeard {
			oldest := 0
			for j, h := range p.heard {
				if h.at < p.heard[oldest].at {
					oldest = j
				}
			}
			p.heard = slices.Delete(p.heard, oldest, oldest+1)
			if oldest < i {
				i--
			}
		}
		p.heard = slices.Insert(p.heard, i, &heard{path: id, at: at})
	}
	h := p.heard[i]
	if h.on != on.id {
		if before := p.find(h.on); before != nil && before.owner == h.path {
			p.disown(before)
		}
		h.on = on.id
	}
	if on.owner != id {
		p.disown(on)
		on.owner = id
		on.ownBase, on.ownBytes = on.received()
	}
	h.note(ping.Seq, ping.Nonce, at)
	on.heard = max(on.heard, at)
}

// disown settles the data that came on one of our paths to the peer's path that it was counted for.
func (p *Prober) disown(on *path) {
	if h := p.heardOf(on.owner); h != nil {
		packets, bytes := on.received()
		h.data += packets - on.ownBase
		h.bytes += bytes - on.ownBytes
	}
	on.owner = 0
}

func (p *Prober) heardOf(id wire.PathID) *heard {
	for _, h := range p.heard {
		if h.path == id && id != 0 {
			return h
		}
	}
	return nil
}

func (p *path) received() (packets, bytes uint32) {
	if p.counts == nil {
		return 0, 0
	}
	_, rx, _ := p.counts.Counts()
	_, size := p.counts.Bytes()
	return uint32(rx), uint32(size)
}

// reports tells the peer what was heard on its paths, those heard last first to be kept if there are too many.
func (p *Prober) reports() []wire.Report {
	p.heard = slices.DeleteFunc(p.heard, func(h *heard) bool { return p.now.sub(h.at) > heardTTL })
	if len(p.heard) == 0 {
		return nil
	}
	list := p.heard
	if !p.active && !p.peerActive { // what is old was told before, and nothing flows for which it would matter
		list = slices.DeleteFunc(slices.Clone(list), func(h *heard) bool { return p.now.sub(h.at) > idleTTL })
	}
	if len(list) > wire.MaxReports {
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(a, b *heard) int { return cmp.Compare(b.at, a.at) })
		list = list[:wire.MaxReports]
		slices.SortFunc(list, func(a, b *heard) int { return cmp.Compare(a.path, b.path) })
	}
	out := make([]wire.Report, 0, len(list))
	for _, h := range list {
		r := wire.Report{
			Path: h.path, LastSeq: h.last, Probes: h.probes, Data: h.data, Bytes: h.bytes, Runs: h.runs, Late: h.late,
			Echo: h.nonce,
		}
		at := h.at
		if on := p.find(h.on); on != nil && on.owner == h.path && on.counts != nil {
			_, r.DataSeq = on.counts.Seqs() // before the counts, which then cover it
			_, rx, last := on.counts.Counts()
			_, size := on.counts.Bytes()
			r.Data += uint32(rx) - on.ownBase
			r.Bytes += uint32(size) - on.ownBytes
			at = max(at, min(instant(last), p.now))
		}
		age := max(p.now.sub(at).Microseconds(), 0)
		r.Age = uint32(min(age, 1<<32-1))
		out = append(out, r)
	}
	return out
}
