package node

import (
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// frameOf is a frame of the other member in another protocol.
func (f *fixture) frameOf(protocol uint8) []byte {
	f.t.Helper()
	frame, err := f.box.Seal(nil, f.core.self, wire.KindPing, (&wire.Ping{Path: 1, Seq: 9}).Append(nil))
	check(f.t, err)
	frame[1] = protocol
	return frame
}

// sentNotices are the version notices among what the core sent; cause is the longest that they may be.
func (f *fixture) sentNotices(cause []byte) (list [][]byte) {
	f.t.Helper()
	for _, out := range f.drain() {
		if s, ok := out.(Send); ok && s.Frame[0] == 'C' && s.Frame[1] == wire.NoticeProtocol {
			if len(s.Frame) > len(cause) {
				f.t.Errorf("a notice of %d bytes for a frame of %d", len(s.Frame), len(cause))
			}
			list = append(list, s.Frame)
		}
	}
	return list
}

// A frame of another protocol proves nothing: it is answered with a notice now and then, and nobody is told anything.
func TestAFrameOfAnotherProtocolIsAnsweredWithANotice(t *testing.T) {
	f := newFixture(t)
	f.core.cfg.Version = "v1.0"
	f.run(time.Second)
	f.drain()
	frame, sent := f.frameOf(wire.Protocol+1), 0
	for range 10_000 { // in ten seconds
		f.step(Datagram{Class: wire.ClassControl, Data: frame, From: f.address, At: f.now})
		f.now = f.now.Add(time.Millisecond)
		for _, raw := range f.sentNotices(frame) {
			sent++
			id, notice, err := f.box.OpenNotice(raw)
			if err != nil || id != f.core.self || notice.Protocol != wire.Protocol || notice.Build != "v1.0" {
				t.Fatalf("%v, %+v, %v", id, notice, err)
			}
		}
	}
	if want := int(10 * time.Second / noticeGap); sent < 1 || sent > want {
		t.Errorf("%d notices in ten seconds, want at most %d", sent, want)
	}
	if w := f.core.Warnings(f.now); len(w) != 0 {
		t.Errorf("what proves nothing is told: %q", w)
	}
}

// The notice of a member is told to people wherever it is listed, until a frame of it opens.
func TestAMemberThatSpeaksAnotherProtocolIsNamed(t *testing.T) {
	for protocol, older := range map[uint8]string{wire.Protocol + 3: "upgrade this node", 200: "upgrade this node"} {
		f := newFixture(t)
		raw, err := f.box.SealNotice(nil, f.core.self, "v9\x1b[31m", 200)
		check(t, err)
		id, notice, err := f.core.box.OpenNotice(raw)
		check(t, err)
		notice.Protocol = protocol
		f.core.noticed(f.now, id, notice, f.core.peers[id].list[0].fwd.Hop, 200)
		told := 0
		for _, out := range f.drain() {
			if n, ok := out.(Notice); ok {
				told++
				if !strings.Contains(n.Text, "boston runs overlayd v9") || !strings.Contains(n.Text, older) || strings.ContainsRune(n.Text, '\x1b') {
					t.Errorf("the log says %q", n.Text)
				}
			}
		}
		f.core.noticed(f.now.Add(time.Second), id, notice, f.core.peers[id].list[0].fwd.Hop, 200)
		if told != 1 || len(f.drain()) > 1 {
			t.Errorf("told %d times, and again", told)
		}
		paths := f.core.Paths(f.now)
		if w := f.core.Warnings(f.now); len(w) != 1 || paths[0].Warning != w[0] {
			t.Errorf("status says %q, paths %q", w, paths[0].Warning)
		}
		notice.Epoch--
		notice.Protocol = wire.Protocol + 9
		f.core.noticed(f.now.Add(time.Minute), id, notice, f.core.peers[id].list[0].fwd.Hop, 200)
		if f.core.builds.of[id].Protocol != protocol {
			t.Error("a recording of an earlier run is believed")
		}
		f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 3}).Append(nil))
		if w := f.core.Warnings(f.now); len(w) != 0 {
			t.Errorf("a frame has opened, and status says %q", w)
		}
	}
}

// Two builds tell each other at once, and do not go on telling.
func TestNoticesDoNotAnswerEachOtherForEver(t *testing.T) {
	f := newFixture(t)
	raw, err := f.box.SealNotice(nil, f.core.self, "v1", 200)
	check(t, err)
	id, notice, err := f.core.box.OpenNotice(raw)
	check(t, err)
	notice.Protocol++
	f.drain()
	sent := 0
	for range 100 {
		f.core.noticed(f.now, id, notice, f.core.peers[id].list[0].fwd.Hop, len(raw))
		sent += len(f.sentNotices(raw))
		f.now = f.now.Add(10 * time.Millisecond)
	}
	if sent != 1 {
		t.Errorf("%d notices were sent for a hundred in a second, want one", sent)
	}
}
