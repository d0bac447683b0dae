package node

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// Two builds whose control frames differ cannot speak with each other. They tell each other so in version notices
// (package seal), which every build reads. What a notice says is shown to people and changes nothing else; the first frame
// that opens takes its place.

const (
	// noticesASecond bounds the version notices that this node sends in all, and noticeGap those to one member: whoever
	// forges frames in the name of members gets no more of them.
	noticesASecond = 10
	noticeGap      = 5 * time.Second
)

var errOtherProtocol = errors.New("control frames of another protocol: overlayctl members shows whose")

// build is what a member last said of its build, in a notice.
type build struct {
	seal.Notice
	sent time.Time // when this node last sent it a notice
}

// builds are those of members that speak another protocol, or that are claimed to.
type builds struct {
	of     map[wire.NodeID]*build
	bucket bucket
}

func newBuilds() builds {
	return builds{of: make(map[wire.NodeID]*build), bucket: bucket{rate: noticesASecond, depth: noticesASecond}}
}

// maySend reports whether a member is to be sent a notice now.
func (b *builds) maySend(now time.Time, id wire.NodeID) bool {
	o := b.of[id]
	if o != nil && !o.sent.IsZero() && now.Sub(o.sent) < noticeGap || !b.bucket.take(now) {
		return false
	}
	if o == nil {
		o = &build{}
		b.of[id] = o // of members only: there are as many as the network has
	}
	o.sent = now
	return true
}

// otherProtocol takes a control frame of another protocol. If it is a notice, it says what its sender speaks; otherwise
// whoever it claims to be from is told what this node speaks.
func (c *Core) otherProtocol(now time.Time, in Datagram, back fwd.Hop) {
	if in.Path != nil {
		back = in.Path.Hop
	}
	if id, notice, err := c.box.OpenNotice(in.Data); err == nil {
		c.noticed(now, id, notice, back, len(in.Data))
		return
	}
	c.refused.count(errOtherProtocol)
	if id, _, ok := c.box.Claims(in.Data); ok {
		c.tellBuild(now, id, back, len(in.Data))
	}
}

// noticed takes what a member says of its build.
func (c *Core) noticed(now time.Time, id wire.NodeID, n seal.Notice, back fwd.Hop, size int) {
	o := c.builds.of[id]
	if c.known[id].IsZero() || n.Protocol == wire.Protocol || (o != nil && n.Epoch < o.Epoch) {
		return
	}
	c.tellBuild(now, id, back, size)
	if o = c.builds.of[id]; o == nil {
		o = &build{}
		c.builds.of[id] = o
	}
	o.Notice = n
	c.noticeOnce("build "+id.String(), now, c.otherBuild(id), true)
}

// tellBuild sends a member a notice that is not longer than what caused it.
func (c *Core) tellBuild(now time.Time, id wire.NodeID, back fwd.Hop, size int) {
	if c.known[id].IsZero() || !c.builds.maySend(now, id) {
		return
	}
	if raw, err := c.box.SealNotice(nil, id, c.cfg.Version, size); err == nil {
		c.emit(Send{Hop: back, Frame: raw})
	}
}

// understood notes that a frame of a member opened.
func (c *Core) understood(id wire.NodeID) {
	if len(c.builds.of) > 0 {
		delete(c.builds.of, id)
	}
}

// otherBuild says that a member speaks another protocol; empty if nobody knows that it does.
func (c *Core) otherBuild(id wire.NodeID) string {
	o := c.builds.of[id]
	if o == nil || o.Protocol == 0 {
		return ""
	}
	name, older := c.name(id), "this node"
	if o.Protocol < wire.Protocol {
		older = name
	}
	return fmt.Sprintf("%s runs overlayd %s, protocol %d; this node runs overlayd %s, protocol %d, and they cannot speak with each other: "+
		"upgrade %s", name, printable(o.Build), o.Protocol, printable(c.cfg.Version), wire.Protocol, older)
}

// printable is the name of a build, which somebody else wrote, as it can be shown on a terminal.
func printable(s string) string {
	if s == "" {
		return "(unknown version)"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
