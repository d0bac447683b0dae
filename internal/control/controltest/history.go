package controltest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/control"
)

// History implements control.Backend.
func (b *Backend) History(_ context.Context, q control.HistoryQuery) (control.History, error) {
	if err := b.record("History", q); err != nil {
		return control.History{}, err
	}
	list := events()
	if q.Peer != "" {
		list = slices.DeleteFunc(list, func(e control.Event) bool { return e.Peer != q.Peer })
		if len(list) == 0 {
			return control.History{}, fmt.Errorf("%w as %q", control.ErrUnknownPeer, q.Peer)
		}
	}
	if q.Since > 0 {
		from := Time().Add(-q.Since)
		list = slices.DeleteFunc(list, func(e control.Event) bool { return e.Time.Before(from) })
	}
	more := len(list) > q.Most
	return control.History{Node: "belmont", Time: Time(), Events: list[max(len(list)-q.Most, 0):], More: more}, nil
}

func events() []control.Event {
	at := func(ago time.Duration) time.Time { return Time().Add(-ago) }
	direct := control.PastPath{Endpoint: "198.51.100.3:51871", State: control.StateUp}
	dead := direct
	dead.State = control.StateDead
	return []control.Event{
		{Time: at(26 * time.Hour), Kind: control.EventStart, Reason: "v1"},
		{
			Time: at(2 * time.Hour), Kind: control.EventRule, Peer: "boston", PeerID: "03", Code: "made",
			Reason: "cambridge preferred (rule 5 by root)",
		},
		{
			Time: at(96 * time.Second), Kind: control.EventPath, Peer: "boston", PeerID: "03", From: &direct, To: &dead, Code: "dead",
			Reason: "4 probes unanswered",
		},
		{
			Time: at(95 * time.Second), Kind: control.EventSwitch, Peer: "boston", PeerID: "03", Class: "bulk",
			From: &control.PastPath{RTT: control.MillisOf(40 * time.Millisecond), Loss: control.FractionOf(0.031)},
			To:   &control.PastPath{Via: control.Via{"newton", "cambridge"}, RTT: control.MillisOf(21400 * time.Microsecond), Loss: control.FractionOf(0)},
			Code: "died", Reason: "direct path dead: 4 probes unanswered",
		},
		{Time: at(time.Minute), Kind: control.EventDropped, Count: 7, Reason: "the disk was too slow, or refused"},
	}
}
