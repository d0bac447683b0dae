package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	reports = []Report{
		{Path: 1, LastSeq: 2, Probes: 3, Age: 5, Data: 4, Bytes: 6, DataSeq: 7, Runs: 8, Late: 9, Echo: 10},
		{Path: 65535, LastSeq: 1<<32 - 1, Age: 7},
		{Path: 2, LastSeq: 1, Probes: 1, Bytes: 1},
		{Path: 3, LastSeq: 1, Probes: 1, Late: 1},
		{Path: 4, LastSeq: 1, Probes: 1, Echo: 1<<64 - 1},
	}
	v4 = netip.MustParseAddrPort("198.51.100.7:51871")
	v6 = netip.MustParseAddrPort("[2001:db8::7]:51871")
)

// body is one of the messages of this package: what appends itself and has a parser.
type body struct {
	name  string
	bytes []byte
	parse func([]byte) (any, error)
	want  any
}

func parser[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return parse(b) }
}

func bodies() []body {
	ping := Ping{Path: 3, Seq: 4, Nonce: 11, Sent: 5, Active: true, Check: true, Load: 200, Reports: reports}
	pong := Pong{Path: 3, Seq: 4, Nonce: 12, Sent: 5, Received: 6, Replied: 7, Active: true, Load: 255, Observed: v6, Reports: reports}
	open := CircuitOpen{ID: 1, Opener: NodeID{1}, Route: []NodeID{{2}, {3}}, Hop: 1, Label: MaxLabel}
	opened := CircuitOpened{ID: 1, Label: 2}
	closing := CircuitClose{ID: 1}
	failed := CircuitError{Label: 7, Reason: ReasonUnknownLabel}
	neighbors := Neighbors{Want: true, List: []Neighbor{{ID: NodePrefix{4}, RTT: 20 * time.Millisecond, Loss: 9}}}
	query := RouteQuery{Nonce: 1, Origin: NodeID{1}, Target: NodeID{2}, Hops: 2, Trail: []NodeID{{3}}}
	reply := RouteReply{Nonce: 1, Origin: NodeID{1}, Target: NodeID{2}, Route: []NodeID{{3}, {4}}, RTT: time.Second}
	endpoints := Endpoints{Punch: true, List: []netip.AddrPort{v4, v6}}
	hello := Hello{Heard: 1 << 40}
	return []body{
		{"ping", ping.Append(nil), parser(ParsePing), ping},
		{"pong", pong.Append(nil), parser(ParsePong), pong},
		{"circuit open", open.Append(nil), parser(ParseCircuitOpen), open},
		{"circuit opened", opened.Append(nil), parser(ParseCircuitOpened), opened},
		{"circuit close", closing.Append(nil), parser(ParseCircuitClose), closing},
		{"circuit error", failed.Append(nil), parser(ParseCircuitError), failed},
		{"neighbors", neighbors.Append(nil), parser(ParseNeighbors), neighbors},
		{"route query", query.Append(nil), parser(ParseRouteQuery), query},
		{"route reply", reply.Append(nil), parser(ParseRouteReply), reply},
		{"endpoints", endpoints.Append(nil), parser(ParseEndpoints), endpoints},
		{"hello", hello.Append(nil), parser(ParseHello), hello},
	}
}

var equalAddrPorts = cmpopts.EquateComparable(netip.AddrPort{})

func TestEveryBodyComesBackAsItWas(t *testing.T) {
	for _, b := range bodies() {
		got, err := b.parse(b.bytes)
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		} else if diff := cmp.Diff(b.want, got, equalAddrPorts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", b.name, diff)
		}
	}
}

func TestShortAndLongBodiesAreMalformed(t *testing.T) {
	for _, b := range bodies() {
		for n := range b.bytes {
			if _, err := b.parse(b.bytes[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d of %d bytes: %v, want ErrMalformed", b.name, n, len(b.bytes), err)
			}
		}
		if _, err := b.parse(append(bytes.Clone(b.bytes), 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with a byte too many: %v, want ErrMalformed", b.name, err)
		}
	}
}

func TestFullestBodiesFitAFrame(t *testing.T) {
	many := make([]Report, MaxReports+5)
	pong := Pong{Observed: v6, Reports: many}
	neighbors := Neighbors{List: make([]Neighbor, MaxNeighbors+5)}
	endpoints := Endpoints{}
	for range MaxEndpoints + 5 {
		endpoints.List = append(endpoints.List, v6)
	}
	for name, b := range map[string][]byte{"pong": pong.Append(nil), "neighbors": neighbors.Append(nil), "endpoints": endpoints.Append(nil)} {
		if len(b) > MaxBodyLen {
			t.Errorf("%s: %d bytes, the bound is %d", name, len(b), MaxBodyLen)
		}
	}
}

func TestClassify(t *testing.T) {
	stun := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...)
	label := append(make([]byte, LabelHeaderLen), 4, 0, 0, 0)
	PutLabel(label, 77)
	if got := PeekLabel(label); got != 77 {
		t.Errorf("label: %v, want 77", got)
	}
	control := AppendControlPrefix(nil, 1, &[NonceLen]byte{})
	control = append(control, make([]byte, HeaderLen+tagLen)...)
	// A WireGuard transport message whose receiver index happens to be STUN's cookie.
	likeSTUN := append([]byte{4, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 24)...)
	for _, c := range []struct {
		name string
		b    []byte
		want Class
	}{
		{"empty", nil, ClassUnknown},
		{"three bytes", []byte{4, 0, 0}, ClassUnknown},
		{"handshake", []byte{1, 0, 0, 0}, ClassWireGuard},
		{"transport that looks like STUN", likeSTUN, ClassWireGuard},
		{"WireGuard type 5", []byte{5, 0, 0, 0}, ClassUnknown},
		{"STUN", stun, ClassSTUN},
		{"short STUN", stun[:19], ClassUnknown},
		{"label", label, ClassLabel},
		{"label without a frame", label[:LabelHeaderLen], ClassUnknown},
		{"control", control, ClassControl},
		{"control of another protocol", []byte{'C', 99, 0, 0, 0, 1}, ClassControl},
		{"short control", control[:5], ClassUnknown},
		{"join", []byte{FirstJoin, 0, 0, 0}, ClassJoin},
		{"QUIC", []byte{0xC0, 0, 0, 1}, ClassUnknown},
	} {
		if got := Classify(c.b); got != c.want {
			t.Errorf("%s: class %d, want %d", c.name, got, c.want)
		}
	}
}

// The first bytes of a control frame mean the same to every build there will be: that is how a node tells who speaks
// another protocol. This test is never to be changed.
func TestTheFirstSixBytesOfAControlFrameNeverChange(t *testing.T) {
	frame := AppendPrefixOf(nil, 7, 0x01020304, &[NonceLen]byte{9})
	if !bytes.HasPrefix(frame, []byte{0x43, 7, 1, 2, 3, 4, 9}) {
		t.Fatalf("prefix %x", frame)
	}
	protocol, hint, ok := PeekProtocol(frame[:6])
	if protocol != 7 || hint != 0x01020304 || !ok {
		t.Errorf("protocol %d, hint %x, %v", protocol, hint, ok)
	}
	if _, _, _, _, err := ParseControl(append(frame, make([]byte, 100)...)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a frame of protocol 7: %v, want ErrProtocol", err)
	}
	if _, _, ok := PeekProtocol(frame[:5]); ok {
		t.Error("five bytes are enough")
	}
}

func TestDataSeqIsTheCounterOfATransportMessage(t *testing.T) {
	b := append([]byte{4, 0, 0, 0, 9, 9, 9, 9, 0x78, 0x56, 0x34, 0x12, 1, 0, 0, 0}, make([]byte, 16)...)
	if got := DataSeq(b); got != 0x12345678 {
		t.Errorf("%x", got)
	}
	if got := DataSeq(b[:15]); got != 0 {
		t.Errorf("%x of a message that is too short", got)
	}
}

// A report has one form: parts that are not known, or that are there but empty, are malformed.
func TestReportPartsAreExact(t *testing.T) {
	const parts = 2 + 4 + 8 + 8 + 1 + 1 + 4 + 1 + 2 // where the first report says what is in it
	plain := Ping{Path: 1, Seq: 1, Reports: []Report{{Path: 1, LastSeq: 2}}}
	body := plain.Append(nil)
	if got := len(body) - (parts - 2); got != 15 {
		t.Errorf("a report without data and echo takes %d bytes, want 15", got)
	}
	for _, c := range []struct {
		parts uint8
		empty int
	}{{reportData, 12}, {reportOrder, 4}, {reportData | reportOrder, 16}, {reportEcho, 8}, {8, 0}, {128, 0}} {
		b := append(bytes.Clone(body), make([]byte, c.empty)...)
		b[parts] = c.parts
		if _, err := ParsePing(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("parts %d: %v, want ErrMalformed", c.parts, err)
		}
	}
}

func TestNodeIDText(t *testing.T) {
	id := NodeID{0xde, 0xad, 15: 1}
	if got, err := ParseNodeID(id.String()); err != nil || got != id {
		t.Errorf("%s came back as %s (%v)", id, got, err)
	}
	for _, s := range []string{"", "xyz", hex.EncodeToString(make([]byte, 15)), "zz" + id.String()[2:]} {
		if _, err := ParseNodeID(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, want ErrMalformed", s, err)
		}
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	b := append([]byte{4, 0, 0, 0}, make([]byte, 60)...)
	if n := testing.AllocsPerRun(100, func() { Classify(b) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzBodies feeds every parser: what it accepts must come back the same after being appended and parsed again.
func FuzzBodies(f *testing.F) {
	for i, b := range bodies() {
		f.Add(uint8(i), b.bytes)
	}
	type appender interface{ Append([]byte) []byte }
	again := func(v any) appender {
		switch v := v.(type) {
		case Ping:
			return &v
		case Pong:
			return &v
		case CircuitOpen:
			return &v
		case CircuitOpened:
			return &v
		case CircuitClose:
			return &v
		case CircuitError:
			return &v
		case Neighbors:
			return &v
		case RouteQuery:
			return &v
		case RouteReply:
			return &v
		case Endpoints:
			return &v
		case Hello:
			return &v
		}
		return nil
	}
	all := bodies()
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		b := all[int(which)%len(all)]
		v, err := b.parse(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %v", b.name, err)
			}
			return
		}
		v2, err := b.parse(again(v).Append(nil))
		if err != nil {
			t.Fatalf("%s: accepted %x, but not what it was written as: %v", b.name, raw, err)
		}
		if diff := cmp.Diff(v, v2, equalAddrPorts); diff != "" {
			t.Fatalf("%s (-first +second):\n%s", b.name, diff)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0})
	f.Add(AppendControlPrefix(nil, 1, &[NonceLen]byte{}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		switch Classify(raw) {
		case ClassLabel:
			if l := PeekLabel(raw); l > MaxLabel {
				t.Fatalf("label %v", l)
			}
		case ClassControl:
			if _, _, nonce, sealed, err := ParseControl(raw); err == nil && len(nonce)+len(sealed)+6 != len(raw) {
				t.Fatal("parts do not add up")
			}
		}
		if _, _, err := ParseHeader(raw); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
}
