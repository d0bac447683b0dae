// Package duplicate tells when two hosts run with the keys of one node: a virtual machine was cloned, a backup was
// started to test it, a state directory was copied.
//
// Each run has an epoch (package seal). A run that finds that a later one was heard takes over with a newer epoch, which
// only who holds the keys at that moment can do. So of the epochs in which a peer is heard, and of the addresses that
// they are heard from, this pattern is proof, and no recording makes it:
//
//	epoch 5 from X ── epoch 9 from Y ── epoch 12, taken over, from X
//
// A node that is restarted, moves, or goes back to a snapshot never returns like that.
package duplicate

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// runsKept and sourcesKept bound what is remembered of a peer.
	runsKept    = 4
	sourcesKept = 4

	// within is how old the evidence may be, and for how long duplicates are named after the latest of it.
	within = 30 * time.Second
)

// run is one epoch of a peer.
type run struct {
	epoch     uint64
	takenOver bool
	heard     time.Time // last
	sources   []netip.AddrPort
}

// Runs is what is known of the runs of one peer. The zero value knows nothing.
type Runs struct {
	list  []run            // the newest first
	found time.Time        // when duplicates were last seen; zero: never
	at    []netip.AddrPort // where
}

// Heard notes a fresh frame of the peer in an epoch, which it took over or began with, from an address; not valid if a
// relay passed it on. It reports whether it shows that there are two runs, or where.
func (r *Runs) Heard(now time.Time, epoch uint64, takenOver bool, from netip.AddrPort) (news bool) {
	if len(r.list) == 0 || r.list[0].epoch != epoch {
		if len(r.list) > 0 && epoch < r.list[0].epoch {
			return false
		}
		r.list = slices.Insert(r.list, 0, run{epoch: epoch, takenOver: takenOver})
		r.list = r.list[:min(len(r.list), runsKept)]
	}
	latest := &r.list[0]
	latest.heard = now
	if slices.Contains(latest.sources, from) || len(latest.sources) == sourcesKept {
		return false
	}
	latest.sources = append(latest.sources, from)
	return r.judge(now)
}

// judge looks for the pattern.
func (r *Runs) judge(now time.Time) (news bool) {
	if len(r.list) < 3 || !r.list[0].takenOver || now.Sub(r.list[1].heard) > within {
		return false
	}
	here, there := r.list[0].sources, r.list[1].sources
	elsewhere := slices.IndexFunc(there, func(a netip.AddrPort) bool { return !slices.Contains(here, a) })
	back := slices.ContainsFunc(r.list[2:], func(earlier run) bool {
		return now.Sub(earlier.heard) <= within && slices.ContainsFunc(earlier.sources, func(a netip.AddrPort) bool {
			return slices.Contains(here, a)
		})
	})
	if elsewhere < 0 || !back {
		return false
	}
	at := []netip.AddrPort{here[0], there[elsewhere]}
	slices.SortFunc(at, netip.AddrPort.Compare)
	news = !slices.Equal(at, r.at) || now.Sub(r.found) > within
	r.found, r.at = now, at
	return news
}

// At are the addresses at which two hosts run with the keys of the peer; nil if there is no sign of it. One that is not
// valid is reached over relays only.
func (r *Runs) At(now time.Time) []netip.AddrPort {
	if r.found.IsZero() || now.Sub(r.found) > within {
		return nil
	}
	return r.at
}
