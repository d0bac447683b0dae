package node

import (
	"errors"
	"net/netip"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/member"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// Control frames that one member may send: an active pair with all its paths in doubt sends some hundred a second.
const (
	framesASecond = 1000
	framesAtOnce  = 2000
)

var errFlood = errors.New("a member sends too many control frames")

// bucket is a token bucket.
type bucket struct {
	rate, depth float64
	left        float64
	at          time.Time
}

// take draws a token and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	if b.peek(now) < 1 {
		return false
	}
	b.left--
	return true
}

// peek is how many tokens there are.
func (b *bucket) peek(now time.Time) float64 {
	if b.at.IsZero() {
		b.left, b.at = b.depth, now
	} else if d := now.Sub(b.at); d > 0 {
		b.left, b.at = min(b.depth, b.left+d.Seconds()*b.rate), now
	}
	return b.left
}

// helloEvery bounds the Hellos on one path of a peer, and those to all addresses at which it is not known; replayEvery
// those that answer frames that were seen before.
const (
	helloEvery  = 20 * time.Millisecond
	replayEvery = 200 * time.Millisecond
)

// astrayHellos bounds them a second for all peers together, where they go to addresses that no path has: who has recorded
// frames of many peers can repeat them from anybody's address.
const astrayHellos = 100

// datagram handles a datagram that is not WireGuard's.
func (c *Core) datagram(now time.Time, in Datagram) {
	back := fwd.Hop{Socket: in.Socket, Addr: in.From}
	switch in.Class {
	case wire.ClassControl:
		c.control(now, in, back)
	case wire.ClassSTUN:
		if in.Path != nil {
			return
		}
		if answer, ok := c.stun.Answer(now, nil, in.Data, in.From); ok {
			c.emit(Send{Hop: back, Frame: answer})
		}
	case wire.ClassJoin:
		if in.Path == nil {
			c.join(now, in, back)
		}
	}
}

// control opens a control frame and hands its message on. Only fresh frames get further than a Hello.
func (c *Core) control(now time.Time, in Datagram, back fwd.Hop) {
	frame, err := c.box.Open(in.Data)
	replayed := errors.Is(err, seal.ErrReplayed) && !frame.From.IsZero() // or its sender has gone back
	switch {
	case errors.Is(err, wire.ErrProtocol):
		c.otherProtocol(now, in, back)
		return
	case err != nil:
		c.refused.count(err)
		if !replayed {
			return
		}
	}
	if in.Path != nil {
		if in.Path.Peer != frame.From {
			return // somebody else's circuit: its opener is not who it claimed to be
		}
		back = in.Path.Hop
	}
	if c.known[frame.From].IsZero() {
		if !replayed {
			c.heardOutside(now, frame)
		}
		return
	}
	p := c.peers[frame.From]
	if frame.Overtaken != 0 {
		c.takeovers.want(now, frame.From, frame.Overtaken)
		c.takeOver(now)
	}
	if !frame.Fresh {
		c.hello(now, p, in, frame, back, replayed)
		return
	}
	if p == nil {
		if p = c.guest(now, frame.From); p == nil {
			return
		}
	}
	if !p.frames.take(now) {
		c.refused.count(errFlood)
		return
	}
	p.heard, p.claims = now, wire.NodeID{}
	c.understood(p.id)
	found := p.runs.Heard(now, frame.SenderEpoch, seal.Takeover(frame.SenderEpoch), in.source())
	if found {
		c.noticeOnce("duplicate "+p.id.String(), now, c.duplicateOf(now, p), true)
	}
	if frame.Restarted {
		c.restarted(now, p)
		c.resetSession(p)
	} else if p.meeting.tookOver {
		c.resetSession(p)
		if p.use.level != idle {
			c.emit(RenewSession{ID: p.id})
		}
	}
	p.meeting.tookOver = false
	on := c.arrivedOn(now, p, in)
	if on == nil {
		return
	}
	if frame.Restarted || found {
		c.newRun(now, p, on)
	}
	c.askReset(now, p, on)
	c.message(now, p, on, in, frame)
	c.touch(p)
}

// hello tells a peer our epoch, since it used an old one or none, and what we have heard of it. Whoever repeats its old
// frames from elsewhere does not use up what is kept for where it is expected.
func (c *Core) hello(now time.Time, p *peer, in Datagram, frame seal.Frame, back fwd.Hop, replayed bool) {
	if p == nil {
		if !c.hellos.take(now) {
			return
		}
	} else {
		last, gap := &p.meeting.lastHello, helloEvery
		q := p.expectedOn(in)
		if replayed {
			last, gap = &p.meeting.lastReplay, replayEvery
		} else if q != nil {
			last = &q.lastHello
		}
		if now.Sub(*last) < gap || q == nil && !c.astray.take(now) {
			return
		}
		*last = now
	}
	raw, err := c.box.SealHello(nil, frame.From, frame.SenderEpoch)
	if err == nil && len(raw) <= len(in.Data) {
		c.emit(Send{Hop: back, Frame: raw, Kind: wire.KindHello})
	}
}

// restarted forgets what an earlier run of the peer knew.
func (c *Core) restarted(now time.Time, p *peer) {
	if p.meeting.met {
		c.unmet(now, p)
	}
	c.step(p.prober.Step(now, probe.PeerRestarted{}))
	c.step(c.circuits.Step(now, circuit.NeighborRestarted{ID: p.id}))
	for _, q := range p.sorted() {
		c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id}))
	}
}

// arrivedOn is the path that a fresh frame came on. A direct path from an address that was not known begins here.
func (c *Core) arrivedOn(now time.Time, p *peer, in Datagram) *path {
	if in.Path != nil {
		if q := p.paths[in.Path.ID]; q != nil && !q.direct() {
			q.heard = true
			c.step(c.circuits.Step(now, circuit.Used{ID: q.circuit, At: now}))
			return q
		}
		return nil
	}
	q := p.byEndpoint(in.Socket, in.From)
	if q == nil {
		if q = c.addDirect(now, p, in.From); q == nil {
			return nil
		}
	}
	if !q.heard {
		q.heard = true
		c.outdate(p)
		if p.meeting.met { // it has moved, perhaps: what is sent to where it was is lost
			c.probePaths(now, p)
		}
		c.probeSoon(now, p, q)
	}
	return q
}

// message handles the body of a fresh frame. A body that does not parse is a fault of the peer's: it is ignored.
func (c *Core) message(now time.Time, p *peer, on *path, in Datagram, frame seal.Frame) {
	switch frame.Kind {
	case wire.KindHello:
		c.probeSoon(now, p, on)
	case wire.KindPing:
		c.ping(now, p, on, in, frame.Body)
	case wire.KindPong:
		c.pong(now, p, on, in, frame.Body)
	case wire.KindBye:
		c.bye(now, p)
	case wire.KindCircuitOpen:
		if m, err := wire.ParseCircuitOpen(frame.Body); err == nil && on.direct() {
			c.step(c.circuits.Step(now, circuit.Received{From: p.id, Message: m}))
		}
	case wire.KindCircuitOpened:
		if m, err := wire.ParseCircuitOpened(frame.Body); err == nil && on.direct() {
			c.step(c.circuits.Step(now, circuit.Received{From: p.id, Message: m}))
		}
	case wire.KindCircuitClose:
		if m, err := wire.ParseCircuitClose(frame.Body); err == nil && on.direct() {
			c.step(c.circuits.Step(now, circuit.Received{From: p.id, Message: m}))
		}
	case wire.KindCircuitError:
		if m, err := wire.ParseCircuitError(frame.Body); err == nil && on.direct() {
			c.step(c.circuits.Step(now, circuit.Received{From: p.id, Message: m}))
		}
	case wire.KindNeighbors:
		if m, err := wire.ParseNeighbors(frame.Body); err == nil {
			c.theirNeighbors(now, p, m)
		}
	case wire.KindRouteQuery:
		if m, err := wire.ParseRouteQuery(frame.Body); err == nil && on.direct() {
			c.routeQuery(now, p, m)
		}
	case wire.KindRouteReply:
		if m, err := wire.ParseRouteReply(frame.Body); err == nil && on.direct() {
			c.routeReply(now, p, m)
		}
	case wire.KindEndpoints:
		if m, err := wire.ParseEndpoints(frame.Body); err == nil {
			c.theirEndpoints(now, p, m)
		}
	case wire.KindSizeTest:
		if m, err := wire.ParseSizeTest(frame.Body); err == nil {
			c.say(now, p, wire.KindSizeTested, m.Append(nil))
		}
	case wire.KindSizeTested:
		if m, err := wire.ParseSizeTest(frame.Body); err == nil {
			p.sizes.Answered(now, m.Token)
			p.measuredAnew(now)
		}
	case wire.KindSession:
		c.sessionMessage(now, p, on, frame.Body)
	case wire.KindDuplicate:
		if m, err := wire.ParseEndpoints(frame.Body); err == nil {
			c.toldDuplicate(now, p, m.List)
		}
	case wire.KindPass:
		c.pass(now, p, frame.Body)
	case wire.KindMembers:
		c.step(c.members.Step(now, member.Received{From: p.id, Body: frame.Body}))
	}
}

func (c *Core) ping(now time.Time, p *peer, on *path, in Datagram, body []byte) {
	m, err := wire.ParsePing(body)
	if err != nil {
		return
	}
	var observed netip.AddrPort
	if on.direct() {
		observed = in.From
	}
	if m.Path == 0 { // somebody's ping by hand: answered, not measured
		answer := wire.Pong{
			Seq: m.Seq, Nonce: m.Nonce, Sent: m.Sent, Received: c.Stamp(in.At), Replied: c.Stamp(now), Observed: observed,
		}
		c.sendOn(p, on, wire.KindPong, answer.Append(nil))
		return
	}
	p.told(now, m.Load)
	c.theirActivity(now, p, m.Active)
	c.theirKnowledge(now, p, m.Known)
	c.step(p.prober.Step(now, probe.PingReceived{On: on.id, Ping: m, At: in.At, Observed: observed}))
	if m.Check && on.direct() {
		c.checkBack(now, p)
	}
	p.measuredAnew(now)
}

func (c *Core) pong(now time.Time, p *peer, on *path, in Datagram, body []byte) {
	m, err := wire.ParsePong(body)
	if err != nil {
		return
	}
	if m.Observed.IsValid() && on.direct() && !c.onOverlay(m.Observed.Addr()) {
		c.step(c.gatherer.Step(now, nat.Observed{By: p.id, Addr: m.Observed}))
	}
	if m.Path == 0 {
		c.pinged(p, on, m, in.At)
		return
	}
	p.told(now, m.Load)
	c.theirActivity(now, p, m.Active)
	c.theirKnowledge(now, p, m.Known)
	c.step(p.prober.Step(now, probe.PongReceived{On: on.id, Pong: m, At: in.At}))
	p.measuredAnew(now)
	if on.direct() {
		c.answerWaiting(now, p)
	}
}

// bye is the peer's word that it shuts down: nothing through it or to it works any more.
func (c *Core) bye(now time.Time, p *peer) {
	c.step(p.prober.Step(now, probe.Bye{}))
	c.step(c.circuits.Step(now, circuit.NeighborGone{ID: p.id}))
	p.outdated = true
}

// sendOn seals a message for the peer and sends it on a path.
func (c *Core) sendOn(p *peer, on *path, kind wire.Kind, body []byte) {
	if on == nil || !c.mayTry(c.now, p, on) {
		return
	}
	m := Message{kind, body}
	if c.cfg.Speech == nil {
		c.utter(p, on, m)
		return
	}
	for _, m := range c.cfg.Speech(p.id, m) {
		c.utter(p, on, m)
	}
}

// say sends a message to the peer on whatever path speaks.
func (c *Core) say(now time.Time, p *peer, kind wire.Kind, body []byte) {
	c.sendOn(p, p.speakingPath(), kind, body)
}

// sayDirect sends a message to a neighbour.
func (c *Core) sayDirect(p *peer, kind wire.Kind, body []byte) {
	if q, state := p.link(); q != nil && linkRank(state) < linkRank(probe.Dead) {
		c.sendOn(p, q, kind, body)
	}
}
