package node

import (
	"fmt"
	"time"

	"overlayd/internal/control"
	"overlayd/pathselect"
	"overlayd/probe"
)

// tryingFor is how long the addresses of a peer are tried before it is called dead.
const tryingFor = 10 * time.Second

// peerState is the state of the selected path. Without one a peer is idle while nobody looks for a path to it, a candidate
// while its addresses are tried, and dead when that was in vain.
func (c *Core) peerState(now time.Time, p *peer) control.State {
	if m, ok := p.prober.Measure(p.route().Selected, now); ok {
		return viewState(m.State)
	}
	tried, since := p.tried()
	switch {
	case p.route().Reason.Code != pathselect.NoPath:
		return control.StateDead
	case tried == 0 && p.use.level == idle:
		return control.StateIdle
	case tried > 0 && now.Sub(since) < tryingFor:
		return control.StateCandidate
	default:
		return control.StateDead
	}
}

// tried counts the paths that have never answered, and says since when the first of them is probed.
func (p *peer) tried() (n int, since time.Time) {
	for _, q := range p.sorted() {
		if p.state(q.id) == probe.Candidate {
			if n++; n == 1 || q.created.Before(since) {
				since = q.created
			}
		}
	}
	return n, since
}

// reason says why packets to a peer go the way they go, or why they go none.
func (c *Core) reason(now time.Time, p *peer) string {
	text := p.route().Reason.Text(c.name)
	if p.route().Reason.Code == pathselect.NoPath {
		text = c.whyNoPath(now, p)
	}
	if p.route().Reason.Code == pathselect.NothingElse {
		return text // the pinned path is one of those that do not work
	}
	if unmet := c.unmetPin(now, p); unmet != "" {
		text += "; " + unmet
	}
	return text
}

// whyNoPath says why no path to a peer has ever worked.
func (c *Core) whyNoPath(now time.Time, p *peer) string {
	tried, since := p.tried()
	switch {
	case tried > 0:
		return fmt.Sprintf("no answer yet from %s, tried for %v", addresses(tried), now.Sub(since).Round(time.Second))
	case p.use.level == idle:
		return "nothing flows: a path is looked for with the first packet"
	case len(p.member.Record.Endpoints) == 0:
		return "it publishes no address, and no relay that reaches it is known"
	default:
		return "none of its addresses can be tried from here, and no relay that reaches it is known"
	}
}

func addresses(n int) string {
	if n == 1 {
		return "its address"
	}
	return fmt.Sprintf("its %d addresses", n)
}

// A peer can make this node report much by coming and going: beyond reportsAtOnce changes, one in reportEvery is reported,
// and in the end always how it is.
const (
	reportsAtOnce = 6
	reportEvery   = 10 * time.Second
)

// reported is what was last said of whether a peer can be reached.
type reported struct {
	up     bool
	budget bucket
}

func newReported() reported {
	return reported{budget: bucket{rate: 1 / reportEvery.Seconds(), depth: reportsAtOnce}}
}

// report says that a peer can be reached, or not any more.
func (c *Core) report(now time.Time, p *peer) {
	up := p.route().Works()
	if up == p.reported.up || !p.reported.budget.take(now) {
		return
	}
	p.reported.up = up
	out := PeerChanged{Peer: c.name(p.id), ID: p.id, Up: up, Reason: c.reason(now, p)}
	why := p.route().Reason
	out.From = c.chosen(p, why.From)
	if q := p.paths[p.route().Selected]; q != nil && up {
		out.Via, out.Endpoint, out.To = c.names(q.via), q.fwd.Hop.Addr.String(), c.chosen(p, why.To)
	}
	c.emit(out)
}
