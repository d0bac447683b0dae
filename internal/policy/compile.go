package policy

import (
	"slices"
	"time"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// concerns reports whether a rule says something about the paths to a peer.
func (r *Rule) concerns(peer wire.NodeID) bool { return r.Peer.IsZero() || r.Peer == peer }

// On are the rules that are in force for a peer, by ID: without those that a closer one takes the place of.
func (s *Set) On(peer wire.NodeID) (list []*Rule) {
	for i := range s.rules {
		r := &s.rules[i]
		about := r.subject()
		about.peer = peer
		if r.concerns(peer) && s.closest(about) == r && (r.Kind != Pin || s.against(r) == nil) {
			list = append(list, r)
		}
	}
	return list
}

// For is the policy of one peer, nil if no rule concerns its paths. The time is that from which its sentences look at the
// expiry of rules; the caller lets rules Expire.
func (s *Set) For(peer wire.NodeID, now time.Time) *pathselect.Policy {
	var p *pathselect.Policy
	for _, r := range s.On(peer) {
		if r.Kind == Algorithm || slices.Contains(r.Relays, peer) {
			continue // a rule for all peers may name one of them
		}
		if p == nil {
			p = &pathselect.Policy{}
		}
		r.enter(p, now)
	}
	return p
}

// enter adds what the rule says to a policy.
func (r *Rule) enter(p *pathselect.Policy, now time.Time) {
	excludes := func(what string) pathselect.Exclusion {
		return pathselect.Exclusion{Strict: r.Strict, Why: what + r.said(now)}
	}
	switch r.Kind {
	case Pin:
		p.Pin = &pathselect.Pin{Via: r.Relays, Exclusion: excludes("another path is pinned")}
	case Avoid:
		p.Avoid = append(p.Avoid, r.Relays[0])
	case Prefer:
		p.Prefer = append(p.Prefer, r.Relays[0])
	case Never:
		if p.Never == nil {
			p.Never = make(map[wire.NodeID]pathselect.Exclusion)
		}
		p.Never[r.Relays[0]] = excludes("never to be relayed through")
	case Cost:
		r.charge(p)
	case Hops:
		p.Hops = &pathselect.Hops{Most: r.Hops, Exclusion: excludes("more hops than are allowed")}
	}
}

func (r *Rule) charge(p *pathselect.Policy) {
	if len(r.Relays) == 0 {
		if p.Uplinks == nil {
			p.Uplinks = make(map[pathselect.Uplink]float64)
		}
		p.Uplinks[r.Uplink] = r.Millis
		return
	}
	if p.Relays == nil {
		p.Relays = make(map[wire.NodeID]float64)
	}
	p.Relays[r.Relays[0]] = r.Millis
}

// AlgorithmFor is the algorithm that is wished for one peer and traffic class; false: none. What was said of the peer beats
// what was said of the class.
func (s *Set) AlgorithmFor(peer wire.NodeID, class wire.TrafficClass) (string, bool) {
	for _, of := range []subject{
		{kind: Algorithm, peer: peer, one: true, class: class},
		{kind: Algorithm, peer: peer},
		{kind: Algorithm, one: true, class: class},
		{kind: Algorithm},
	} {
		for i := range s.rules {
			if r := &s.rules[i]; r.subject() == of {
				return r.Algorithm, true
			}
		}
	}
	return "", false
}

// Pins are the peers with a pinned path.
func (s *Set) Pins() (peers []wire.NodeID) {
	for i := range s.rules {
		if r := &s.rules[i]; r.Kind == Pin && s.against(r) == nil {
			peers = append(peers, r.Peer)
		}
	}
	return peers
}

// Pinned are the relays of the path that is pinned for a peer; nil if none is, or the direct one.
func (s *Set) Pinned(peer wire.NodeID) []wire.NodeID {
	for i := range s.rules {
		if r := &s.rules[i]; r.Kind == Pin && r.Peer == peer && s.against(r) == nil {
			return r.Relays
		}
	}
	return nil
}
