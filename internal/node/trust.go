package node

import (
	"fmt"
	"time"

	"overlayd/internal/blame"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// judgeEvery is how often the evidence of one path is looked at.
const judgeEvery = 200 * time.Millisecond

// A relay that says that it is full may lose data without being blamed, for as long as the evidence may be old: at its
// ceiling it drops what is large sooner than what is small. Who says so without need is not blamed either, but nobody
// likes to go there.
const (
	excusedLoad = 0.9
	excusedFor  = 30 * time.Second
	wordFor     = 3 * time.Second // how long its word is waited for
)

// judge hands what was found of the data on a relayed path to the ledger.
func (c *Core) judge(now time.Time, p *peer, q *path, d *probe.Data) {
	if q.direct() || d.Verdict == probe.Undecided || now.Sub(q.judged) < judgeEvery {
		return
	}
	q.judged = now
	finding := findingOf(d.Verdict)
	if finding != blame.Dropped {
		q.doubted = time.Time{}
	} else {
		if q.doubted.IsZero() {
			q.doubted = now
		}
		if !c.heardSince(now, q) || p.excusedBySize(q) {
			return
		}
		if c.excused(now, q.via) {
			finding = blame.Nothing
		}
	}
	c.step(c.ledger.Step(now, blame.Evidence{
		Peer: p.id, Path: q.id, Relays: q.via, Finding: finding, At: d.At, Why: d.String(),
	}))
	c.tellTrust(now)
}

// heardSince reports whether the first relay of a path has told its load since the path is in doubt: it may be about to
// say that it is full. It is not waited for for ever.
func (c *Core) heardSince(now time.Time, q *path) bool {
	first := c.peers[q.firstHop]
	return first == nil || first.toldAt.After(q.doubted) || now.Sub(q.doubted) > wordFor
}

func findingOf(v probe.Verdict) blame.Finding {
	switch v {
	case probe.Honest:
		return blame.Clean
	case probe.DropsData:
		return blame.Dropped
	case probe.DelaysData:
		return blame.Delayed
	default:
		return blame.Nothing
	}
}

// tellTrust tells what has changed in the ledger.
func (c *Core) tellTrust(now time.Time) {
	c.blamed = c.ledger.Drain(c.blamed[:0])
	for _, change := range c.blamed {
		relay, peer := c.name(change.Relay), c.name(change.Peer)
		text := fmt.Sprintf("relay %s is trusted again on the way to %s", relay, peer)
		if !change.Until.IsZero() {
			text = fmt.Sprintf("relay %s is in quarantine on the way to %s for %v: %s",
				relay, peer, change.Until.Sub(now).Round(time.Second), change.Why)
		}
		c.emit(Quarantined{Relay: change.Relay, Peer: change.Peer, Over: change.Until.IsZero(), Why: text})
	}
	if len(c.blamed) == 0 {
		return
	}
	for _, id := range c.order { // the word of two peers asks for proof on the way to all others
		p := c.peers[id]
		p.outdated = true
		if p.use.level == active {
			p.relays.due = now // others may be wanted in its place
		}
		c.touch(p)
	}
}

// quarantine is the first of some relays that is in quarantine on the way to a peer, until when, and why.
func (c *Core) quarantine(now time.Time, p *peer, via []wire.NodeID) (relay wire.NodeID, until time.Time, why string, held bool) {
	for _, relay := range via {
		if until, why, held := c.ledger.Quarantined(now, relay, p.id); held {
			return relay, until, why, true
		}
	}
	return relay, until, "", false
}

// suspected reports whether a relay is in quarantine on the way to a peer.
func (c *Core) suspected(now time.Time, p *peer, via []wire.NodeID) bool {
	_, _, _, held := c.quarantine(now, p, via)
	return held
}

// distrust is why a relay of a path is in quarantine; empty if none is.
func (c *Core) distrust(now time.Time, p *peer, q *path) string {
	relay, until, why, held := c.quarantine(now, p, q.via)
	if !held {
		return ""
	}
	return fmt.Sprintf("%s is in quarantine for another %v: %s", c.name(relay), until.Sub(now).Round(time.Second), why)
}
