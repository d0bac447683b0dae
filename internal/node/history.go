package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/journal"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// switched is the report of a new selection for one class of traffic, of the path q.
func (c *Core) switched(p *peer, class wire.TrafficClass, q *path, r pathselect.Reason) Switched {
	return Switched{
		Peer: c.name(p.id), Via: c.names(q.via), Path: q.id, Reason: r.Text(c.name), Endpoint: q.fwd.Hop.Addr.String(), ID: p.id, Class: class, Why: r,
		From: c.chosen(p, r.From), To: c.chosen(p, r.To),
	}
}

// changed is the report of a new state of the path q.
func (c *Core) changed(p *peer, q *path, out probe.Changed) PathChanged {
	return PathChanged{
		Peer: c.name(p.id), Via: c.names(q.via), Endpoint: q.fwd.Hop.Addr.String(),
		From: out.From.String(), To: out.To.String(), Why: out.Why,
		ID: p.id, Notable: c.notable(p, q, out),
	}
}

// notable reports whether a path in use has died or come back. Suspicions are too many to keep, and candidates that never
// answer are no news.
func (c *Core) notable(p *peer, q *path, out probe.Changed) bool {
	inUse := p.use.level != idle || q.id == p.route().Selected
	died := out.To == probe.Dead && out.From != probe.Candidate
	return inUse && (died || out.From == probe.Dead && out.To == probe.Up)
}

// openJournal starts the journal.
func (n *Node) openJournal() {
	n.journal = journal.Open(filepath.Join(n.dir.Path(), "journal"), n.log)
	n.note(journal.Event{Kind: journal.Started, Reason: n.version})
}

// note records an event now.
func (n *Node) note(e journal.Event) {
	e.Time = wallClock(time.Now())
	n.journal.Record(e)
}

// noteOutput records what the journal keeps of the outputs of the core.
func (n *Node) noteOutput(out Output) {
	if e, kept := n.core.eventOf(out); kept {
		n.note(e)
	}
}

// eventOf is an output as an event of the journal, without its time; false if the journal does not keep it.
func (c *Core) eventOf(out Output) (journal.Event, bool) {
	switch out := out.(type) {
	case Switched:
		return journal.Event{
			Kind: journal.Switched, Peer: out.Peer, PeerID: out.ID.String(), Class: classText(out.Class),
			From: out.From, To: out.To, Code: out.Why.Code.String(), Reason: out.Reason,
		}, !out.begins()
	case PeerChanged:
		e := journal.Event{
			Kind: journal.Peer, Peer: out.Peer, PeerID: out.ID.String(), Code: "down", Reason: out.Reason,
		}
		e.From, e.To = out.From, out.To
		if out.Up {
			e.Code = "up"
		}
		return e, true
	case PathChanged:
		return journal.Event{
			Kind: journal.Changed, Peer: out.Peer, PeerID: out.ID.String(),
			From: &journal.Path{Via: out.Via, Endpoint: out.Endpoint, State: out.From},
			To:   &journal.Path{Via: out.Via, Endpoint: out.Endpoint, State: out.To}, Code: out.To, Reason: out.Why,
		}, out.Notable
	case Quarantined:
		return journal.Event{
			Kind: journal.Quarantine, Peer: c.name(out.Peer), PeerID: out.Peer.String(),
			To: &journal.Path{Via: []string{c.name(out.Relay)}}, Code: out.code(), Reason: out.Why,
		}, true
	case RuleChanged:
		return journal.Event{
			Kind: journal.Rule, Peer: out.Name, PeerID: idText(out.Peer), Code: string(out.Change), Reason: out.Text,
		}, true
	}
	return journal.Event{}, false
}

// begins reports whether packets to the peer go any way at all since then.
func (s *Switched) begins() bool {
	return s.Class == wire.DefaultTraffic && (s.Why.Code == pathselect.First || s.Why.Code == pathselect.Returned)
}

// chosen is a path to a peer of a Reason; nil if there was none. Direct paths are told apart by their endpoints.
func (c *Core) chosen(p *peer, of pathselect.Chosen) *journal.Path {
	if of.ID == 0 {
		return nil
	}
	loss := math.Round(of.Loss*1e4) / 1e4
	v := &journal.Path{Via: c.names(of.Via), RTT: math.Round(float64(of.RTT)/1e3) / 1e3, Loss: &loss}
	if q := p.paths[of.ID]; q != nil && q.direct() {
		v.Endpoint = q.fwd.Hop.Addr.String()
	}
	return v
}

func idText(id wire.NodeID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func classText(class wire.TrafficClass) string {
	if class == wire.DefaultTraffic {
		return ""
	}
	return class.String()
}

// History implements control.Backend. It is read beside the loop: the disk may be slow.
func (n *Node) History(ctx context.Context, q control.HistoryQuery) (h control.History, err error) {
	asked := journal.Query{Name: q.Peer, Most: q.Most}
	var unknown error
	var j *journal.Journal
	err = n.do(ctx, func(now time.Time) {
		h, j = control.History{Node: n.name, Time: n.core.wallClock(now)}, n.journal
		if q.Since > 0 {
			asked.Since = h.Time.Add(-q.Since)
		}
		if q.Peer != "" {
			if asked.PeerID, unknown = n.core.find(q.Peer); unknown != nil {
				asked.PeerID, _ = wire.ParseNodeID(q.Peer) // of one that was a member
			}
		}
	})
	if err != nil {
		return h, err
	}
	events, more, err := j.Read(ctx, asked)
	switch {
	case errors.Is(err, journal.ErrClosed):
		return h, fmt.Errorf("%w: this daemon keeps no journal: its log says why", control.ErrConflict)
	case err != nil:
		return h, err
	case len(events) == 0 && unknown != nil: // neither a member, nor one that was here
		return h, unknown
	}
	for i := range events {
		h.Events = append(h.Events, viewEvent(&events[i]))
	}
	h.More = more
	return h, nil
}

func viewEvent(e *journal.Event) control.Event {
	return control.Event{
		Time: e.Time, Kind: control.EventKind(e.Kind), Peer: e.Peer, PeerID: e.PeerID, Class: e.Class,
		From: viewPastPath(e.From), To: viewPastPath(e.To), Code: e.Code, Reason: e.Reason, Count: e.Count,
	}
}

func viewPastPath(p *journal.Path) *control.PastPath {
	if p == nil {
		return nil
	}
	v := &control.PastPath{Via: p.Via, Endpoint: p.Endpoint, State: control.State(p.State)}
	if p.RTT > 0 {
		rtt := control.Millis(p.RTT)
		v.RTT = &rtt
	}
	if p.Loss != nil {
		v.Loss = control.FractionOf(*p.Loss)
	}
	return v
}

// code is what has happened in a word.
func (q Quarantined) code() string {
	if q.Over {
		return "trusted"
	}
	return "quarantined"
}
