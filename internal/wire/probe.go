package wire

import (
	"encoding/binary"
	"net/netip"
)

// MaxReports bounds the reports in one probe or reply.
const MaxReports = 16

// Report tells a peer what was last heard on one of its paths (D6). Counts are totals since the path was first heard,
// modulo their size; the receiver takes differences.
//
//	 0      2       3         7        11     15     19      23         27     29     31       39
//	+------+-------+---------+--------+------+------+-------+----------+------+------+--------+
//	| path | parts | lastseq | probes | age  | data | bytes | dataseq  | runs | late |  echo  |
//	+------+-------+---------+--------+------+------+-------+----------+------+------+--------+
//	                                         |  if parts has 1         | if it has 2 | if 4   |
//
// A part that is all zeros is left out, so that a path without data, which most are, costs 23 bytes.
type Report struct {
	Path    PathID // in the numbering of the node that the report is sent to
	LastSeq uint32 // the highest probe sequence heard on it
	Probes  uint32 // probes heard on it
	Age     uint32 // microseconds since anything was heard on it, at the time of sending

	Data    uint32 // data packets heard on it
	Bytes   uint32 // of these packets
	DataSeq uint32 // WireGuard's counter in the latest of them, its low 32 bits

	Runs uint16 // runs of probes missing from the sequence: the loss periods of RFC 3357
	Late uint16 // probes that came after one with a higher sequence: reordered, in the terms of RFC 4737

	// Echo is the nonce of the probe LastSeq: without it the report proves no delivery. It is zero where the Pong that
	// carries the report echoes it already.
	Echo uint64
}

// Ping is a probe: it asks for a Pong, and carries reports.
type Ping struct {
	Path    PathID // the sender's number for the path that the probe travels
	Seq     uint32 // counts the probes on this path, from 1
	Nonce   uint64 // unpredictable, to be echoed: who answers has received the probe (RFC 9000, section 8.2)
	Sent    Stamp  // sender's clock
	Active  bool   // data flows, or is about to: the receiver probes at the fast rate too
	Check   bool   // a circuit through the receiver is in doubt: it makes sure of its own paths to the sender
	Load    uint8  // how loaded the sender is as a relay: 255 is at its ceiling
	Known   uint32 // hash of all that the sender knows of the members
	Reports []Report
}

// Pong answers a Ping with the four-timestamp form of RFC 8762 (STAMP): with the time T4 at which it arrives,
// the round-trip time is (T4 - Sent) - (Replied - Received).
type Pong struct {
	Path     PathID // of the Ping
	Seq      uint32 // of the Ping
	Nonce    uint64 // of the Ping
	Sent     Stamp  // of the Ping: the asker's clock
	Received Stamp  // the answerer's clock
	Replied  Stamp  // the answerer's clock
	Active   bool
	Load     uint8          // as in a Ping, of the answerer
	Known    uint32         // hash of all that the answerer knows of the members
	Observed netip.AddrPort // where a Ping that came directly came from; unset through a circuit
	Reports  []Report
}

// Append appends the body of the probe to b. Reports beyond MaxReports are left out.
func (p *Ping) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Path))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, p.Nonce)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = append(b, p.flags(), p.Load)
	b = binary.BigEndian.AppendUint32(b, p.Known)
	return appendReports(b, p.Reports)
}

// The flags of a Ping.
const (
	pingActive = 1
	pingCheck  = 2
)

func (p *Ping) flags() (flags byte) {
	if p.Active {
		flags |= pingActive
	}
	if p.Check {
		flags |= pingCheck
	}
	return flags
}

// ParsePing reads the body of a KindPing frame.
func ParsePing(b []byte) (Ping, error) {
	r := reader{b: b}
	p := Ping{
		Path: PathID(r.uint16()), Seq: r.uint32(), Nonce: r.uint64(), Sent: Stamp(r.uint64()),
	}
	flags := r.uint8()
	if flags&^(pingActive|pingCheck) != 0 {
		r.failed = true
	}
	p.Active, p.Check = flags&pingActive != 0, flags&pingCheck != 0
	p.Load, p.Known, p.Reports = r.uint8(), r.uint32(), r.reports()
	return p, r.done()
}

// Append appends the body of the reply to b. Reports beyond MaxReports are left out.
func (p *Pong) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(p.Path))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, p.Nonce)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Received))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Replied))
	b = append(appendBool(b, p.Active), p.Load)
	b = binary.BigEndian.AppendUint32(b, p.Known)
	b = appendAddrPort(b, p.Observed)
	return appendReports(b, p.Reports)
}

// ParsePong reads the body of a KindPong frame.
func ParsePong(b []byte) (Pong, error) {
	r := reader{b: b}
	p := Pong{
		Path: PathID(r.uint16()), Seq: r.uint32(), Nonce: r.uint64(), Sent: Stamp(r.uint64()),
		Received: Stamp(r.uint64()), Replied: Stamp(r.uint64()),
		Active: r.bool(), Load: r.uint8(), Known: r.uint32(), Observed: r.addrPort(), Reports: r.reports(),
	}
	return p, r.done()
}

// The parts of a report that are there.
const (
	reportData  = 1
	reportOrder = 2
	reportEcho  = 4
)

func (r *Report) parts() (parts uint8) {
	if r.Data|r.Bytes|r.DataSeq != 0 {
		parts |= reportData
	}
	if r.Runs|r.Late != 0 {
		parts |= reportOrder
	}
	if r.Echo != 0 {
		parts |= reportEcho
	}
	return parts
}

func appendReports(b []byte, reports []Report) []byte {
	reports = reports[:min(len(reports), MaxReports)]
	b = append(b, byte(len(reports)))
	for i := range reports {
		b = reports[i].append(b)
	}
	return b
}

func (r *Report) append(b []byte) []byte {
	parts := r.parts()
	b = binary.BigEndian.AppendUint16(b, uint16(r.Path))
	b = append(b, parts)
	b = binary.BigEndian.AppendUint32(b, r.LastSeq)
	b = binary.BigEndian.AppendUint32(b, r.Probes)
	b = binary.BigEndian.AppendUint32(b, r.Age)
	if parts&reportData != 0 {
		b = binary.BigEndian.AppendUint32(b, r.Data)
		b = binary.BigEndian.AppendUint32(b, r.Bytes)
		b = binary.BigEndian.AppendUint32(b, r.DataSeq)
	}
	if parts&reportOrder != 0 {
		b = binary.BigEndian.AppendUint16(b, r.Runs)
		b = binary.BigEndian.AppendUint16(b, r.Late)
	}
	if parts&reportEcho != 0 {
		b = binary.BigEndian.AppendUint64(b, r.Echo)
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
		out = append(out, r.report())
	}
	return out
}

// report reads one report. Its parts must be those that it would be written with.
func (r *reader) report() Report {
	path, parts := PathID(r.uint16()), r.uint8()
	out := Report{Path: path, LastSeq: r.uint32(), Probes: r.uint32(), Age: r.uint32()}
	if parts&reportData != 0 {
		out.Data, out.Bytes, out.DataSeq = r.uint32(), r.uint32(), r.uint32()
	}
	if parts&reportOrder != 0 {
		out.Runs, out.Late = r.uint16(), r.uint16()
	}
	if parts&reportEcho != 0 {
		out.Echo = r.uint64()
	}
	if out.parts() != parts {
		r.failed = true
	}
	return out
}
