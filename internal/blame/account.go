package blame

import (
	"math"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// account is what one peer's word says of one relay.
type account struct {
	blame     float64 // at the time at
	at        time.Time
	offences  int
	held      bool // quarantined, as far as was told
	from      time.Time
	until     time.Time
	probation time.Time
	why       string
}

func (a *account) blameAt(now time.Time) float64 {
	return a.blame * math.Exp2(-max(now.Sub(a.at), 0).Seconds()/halfLife.Seconds())
}

func (a *account) set(now time.Time, blame float64) {
	a.blame, a.at = min(max(blame, 0), ceiling), now
}

// limit is how much blame means quarantine now.
func (a *account) limit(now time.Time) float64 {
	if now.Before(a.probation) {
		return guiltyAgain
	}
	return guilty
}

// accuse splits the blame of a bad path among its relays, and quarantines the one that gets most of it once it has enough.
func (l *Ledger) accuse(now time.Time, e *Evidence, worth float64) {
	relays := distinct(e.Relays)
	weights, sum := make([]float64, len(relays)), 0.
	for i, id := range relays {
		weights[i] = prior
		if a := l.accounts[pair{id, e.Peer}]; a != nil {
			weights[i] += a.blameAt(now)
		}
		if l.cleared(now, id, pathKey{e.Peer, e.Path}) {
			weights[i] *= clearedPart
		}
		sum += weights[i]
	}
	for i, id := range relays {
		k, share := pair{id, e.Peer}, weights[i]/sum
		a := l.account(k)
		if now.Before(a.until) {
			continue // it is used for want of another; what it does is known
		}
		a.set(now, a.blameAt(now)+worth*share)
		a.why = e.Why
		if share >= mostOf && a.blame >= a.limit(now) {
			l.quarantine(now, k, a)
		}
	}
}

// quarantine begins a quarantine that is twice as long as the last one that is not forgiven.
func (l *Ledger) quarantine(now time.Time, k pair, a *account) {
	if now.Sub(a.probation) > forgiven {
		a.offences = 0
	}
	length := longestQuarantine
	if doubled := firstQuarantine << min(a.offences, 16); doubled < length {
		length = doubled
	}
	a.offences++
	a.from, a.until = now, now.Add(length)
	a.probation = a.until.Add(max(length, leastProbation))
	a.held = true
	a.set(now, 0)
	l.out = append(l.out, Change{Relay: k.relay, Peer: k.peer, Until: a.until, Offence: a.offences, Why: a.why})
}

// delivers lowers the blame of all relays of a path, and notes that each delivers.
func (l *Ledger) delivers(now time.Time, e *Evidence, worth float64) {
	for _, id := range distinct(e.Relays) {
		l.notes(id, delivery{pathKey{e.Peer, e.Path}, now})
		if a := l.accounts[pair{id, e.Peer}]; a != nil {
			a.set(now, a.blameAt(now)*math.Exp(-worth/cleanLife.Seconds()))
		}
	}
}

func (l *Ledger) notes(id wire.NodeID, d delivery) {
	last, known := l.clean[id]
	if !known && len(l.clean) >= maxRelays {
		at := func(d [2]delivery) time.Time { return d[0].at }
		delete(l.clean, oldest(l.clean, at, func(a, b wire.NodeID) int { return slices.Compare(a[:], b[:]) }))
	}
	if last[0].path != d.path {
		last[1] = last[0]
	}
	last[0] = d
	l.clean[id] = last
}

// cleared reports whether a relay delivers on another path than this.
func (l *Ledger) cleared(now time.Time, id wire.NodeID, on pathKey) bool {
	for _, d := range l.clean[id] {
		if d.path != on && !d.at.IsZero() && now.Sub(d.at) < clearedFor {
			return true
		}
	}
	return false
}

// account is that of a relay and peer. If there is no room, that with the least to remember goes.
func (l *Ledger) account(k pair) *account {
	if a := l.accounts[k]; a != nil {
		return a
	}
	if len(l.accounts) >= maxAccounts {
		var worst pair
		for i, other := range l.sorted() {
			if i == 0 || l.accounts[other].less(l.accounts[worst]) {
				worst = other
			}
		}
		delete(l.accounts, worst)
	}
	a := &account{}
	l.accounts[k] = a
	return a
}

// less orders accounts by what is lost with them.
func (a *account) less(b *account) bool {
	if !a.until.Equal(b.until) {
		return a.until.Before(b.until)
	}
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.blame < b.blame
}

func distinct(ids []wire.NodeID) []wire.NodeID {
	list := make([]wire.NodeID, 0, len(ids))
	for _, id := range ids {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}
