package tunnel

import (
	"encoding/binary"
	"net"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
	"overlayd/tunnel/udp"
)

// forwarder switches labels for one receiver. What it takes stays in the receiver's buffer until flush.
type forwarder struct {
	plane *Plane
	table *fwd.Table
	out   []*udp.Batch // for each socket
	taken []int        // datagrams in it

	// The last label that was looked up: a flow brings the same one again and again.
	header uint64
	direct *fwd.Path
	entry  fwd.Entry
	known  bool
}

func newForwarder(p *Plane) forwarder {
	f := forwarder{plane: p, taken: make([]int, len(p.sockets))}
	for _, s := range p.sockets {
		f.out = append(f.out, s.NewBatch())
	}
	return f
}

// begin starts with a table.
func (f *forwarder) begin(table *fwd.Table) { f.table, f.header = table, 0 }

// lookup finds what the label of a frame of class label means to the neighbour that sent it. Direct is that neighbour's
// path, nil for a stranger: a label is good only if it comes from the node that it was given to.
func (f *forwarder) lookup(frame []byte, direct *fwd.Path) (fwd.Entry, bool) {
	header := binary.BigEndian.Uint64(frame)
	if header == f.header && direct == f.direct {
		return f.entry, f.known
	}
	f.header, f.direct = header, direct
	f.entry, f.known = f.table.Labels[wire.PeekLabel(frame)]
	f.known = f.known && direct != nil && direct.Peer == f.entry.From && (f.entry.Switch != nil || f.entry.Path != nil)
	return f.entry, f.known
}

// run takes the datagrams at the beginning of data that have the same label as the first one, which sw is for, and
// returns how many bytes they are. The label is rewritten where it is.
func (f *forwarder) run(sw *fwd.Switch, data []byte, segment int, now wire.Stamp) int {
	old, replacement := binary.BigEndian.Uint64(data), prefixOf(sw.To.Label)
	end, packets := 0, 0
	for len(data)-end > wire.LabelHeaderLen && binary.BigEndian.Uint64(data[end:]) == old {
		binary.BigEndian.PutUint64(data[end:], replacement)
		end = min(end+segment, len(data))
		packets++
	}
	if sw.Budget != nil && !sw.Budget.Take(end, now) {
		f.plane.count.overCeiling.Add(uint64(packets))
		return end
	}
	sw.Counters.Received(packets, end, now)
	f.add(sw.To, data[:end], segment, packets)
	return end
}

func (f *forwarder) add(hop fwd.Hop, data []byte, segment, packets int) {
	i := int(hop.Socket)
	if i >= len(f.out) {
		f.plane.count.forwardFailed.Add(uint64(packets))
		return
	}
	f.taken[i] += packets
	for len(data) > 0 {
		n := f.out[i].Segments(hop.Addr, data, segment)
		if data = data[n:]; len(data) > 0 {
			f.send(i)
		}
	}
}

// flush sends what was taken.
func (f *forwarder) flush() {
	for i := range f.out {
		if !f.out[i].Empty() {
			f.send(i)
		}
		f.settle(i)
	}
}

func (f *forwarder) send(i int) {
	sent, err := f.plane.sockets[i].Send(f.out[i])
	f.out[i].Reset()
	if err == net.ErrClosed {
		f.taken[i] = sent
	}
	f.taken[i] -= sent
	f.plane.count.forwarded.Add(uint64(sent))
}

// settle counts what was taken and not sent.
func (f *forwarder) settle(i int) {
	if f.taken[i] > 0 {
		f.plane.count.forwardFailed.Add(uint64(f.taken[i]))
	}
	f.taken[i] = 0
}
