package wire

import (
	"encoding/binary"
	"net/netip"
)

// MaxReports bounds the reports in one probe or reply.
const MaxReports = 16

// Report tells a peer what was last heard on one of its paths (D6). Counts are totals since the path was first heard,
// modulo 2^32; the receiver takes differences.
type Report struct {
	Path    PathID // in the numbering of the node that the report is sent to
	LastSeq uint32 // the highest probe sequence heard on it
	Probes  uint32 // probes heard on it
	Data    uint32 // data packets heard on it
	Age     uint32 // microseconds since anything was heard on it, at the time of sending
}

// Ping is a probe: it asks for a Pong, and carries reports.
type Ping struct {
	Path    PathID // the sender's number for the path that the probe travels
	Seq     uint32 // counts the probes on this path, from 1
	Sent    Stamp  // sender's clock
	Active  bool   // data flows, or is about to: the receiver probes at the fast rate too
	Known   uint32 // hash of all that the sender knows of the members
	Reports []Report
}

// Pong answers a Ping with the four-timestamp form of RFC 8762 (STAMP): with the time T4 at which it arrives,
// the round-trip time is (T4 - Sent) - (Replied - Received).
type Pong struct {
	Path     PathID // of the Ping
	Seq      uint32 // of the Ping
	Sent     Stamp  // of the Ping: the asker's clock
	Received Stamp  // the answerer's clock
	Replied  Stamp  // the answerer's clock
	Active   bool
	Known    uint32         // hash of all that the answerer knows of the members
	Observed netip.AddrPort // where a Ping that came directly came from; unset through a circuit
	Reports  []Report
}

// Append appends the body of the probe to b. Reports beyond MaxReports are left out.
func (p *Ping) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Path))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = appendBool(b, p.Active)
	b = binary.BigEndian.AppendUint32(b, p.Known)
	return appendReports(b, p.Reports)
}

// ParsePing reads the body of a KindPing frame.
func ParsePing(b []byte) (Ping, error) {
	r := reader{b: b}
	p := Ping{
		Path: PathID(r.uint16()), Seq: r.uint32(), Sent: Stamp(r.uint64()), Active: r.bool(), Known: r.uint32(),
		Reports: r.reports(),
	}
	return p, r.done()
}

// Append appends the body of the reply to b. Reports beyond MaxReports are left out.
func (p *Pong) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Path))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Received))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Replied))
	b = appendBool(b, p.Active)
	b = binary.BigEndian.AppendUint32(b, p.Known)
	b = appendAddrPort(b, p.Observed)
	return appendReports(b, p.Reports)
}

// ParsePong reads the body of a KindPong frame.
func ParsePong(b []byte) (Pong, error) {
	r := reader{b: b}
	p := Pong{
		Path: PathID(r.uint16()), Seq: r.uint32(), Sent: Stamp(r.uint64()),
		Received: Stamp(r.uint64()), Replied: Stamp(r.uint64()),
		Active: r.bool(), Known: r.uint32(), Observed: r.addrPort(), Reports: r.reports(),
	}
	return p, r.done()
}

func appendReports(b []byte, reports []Report) []byte {
	reports = reports[:min(len(reports), MaxReports)]
	b = append(b, byte(len(reports)))
	for _, r := range reports {
		b = binary.BigEndian.AppendUint16(b, uint16(r.Path))
		b = binary.BigEndian.AppendUint32(b, r.LastSeq)
		b = binary.BigEndian.AppendUint32(b, r.Probes)
		b = binary.BigEndian.AppendUint32(b, r.Data)
		b = binary.BigEndian.AppendUint32(b, r.Age)
	}
	return b
}

func (r *reader) reports() []Report {
	n := r.count(MaxReports)
	if n == 0 {
		return nil
	}
	out := make([]Report, 0, n)
	for range n {
		out = append(out, Report{
			Path: PathID(r.uint16()), LastSeq: r.uint32(), Probes: r.uint32(), Data: r.uint32(), Age: r.uint32(),
		})
	}
	return out
}
