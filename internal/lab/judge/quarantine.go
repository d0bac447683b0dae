package judge

import (
	"maps"
	"slices"
	"strings"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/scenario"
)

// quarantine is what has been seen of one node's distrust of the relays of its paths to one peer.
type quarantine struct {
	quarantines []count         // candidates that were put there
	inside      map[string]bool // candidates, as last reported
	reason      string          // of the latest
	blamed      []blame         // whom the node held for guilty, from a moment on
}

// blame is the relays that a node holds for guilty, and why, from a moment on.
type blame struct {
	at     time.Duration
	relays map[string]string
}

// addQuarantines notes one report.
func (q *quarantine) addQuarantines(candidates []control.Candidate, at time.Duration) {
	inside := make(map[string]bool)
	newly := 0
	for _, c := range candidates {
		if c.Quarantine == "" {
			continue
		}
		if !q.inside[key(c)] {
			newly++
			q.reason = RouteName(c.Via) + ": " + c.Quarantine
		}
		inside[key(c)] = true
	}
	q.inside = inside
	q.blame(candidates, at)
	q.quarantines = advance(q.quarantines, at, newly)
}

// blame notes which relays are held for guilty, if that has changed.
func (q *quarantine) blame(candidates []control.Candidate, at time.Duration) {
	guilty := make(map[string]string)
	for _, c := range candidates {
		for _, relay := range c.Via {
			if strings.Contains(c.Quarantine, relay+" is in quarantine") {
				guilty[relay] = c.Quarantine
			}
		}
	}
	last := len(q.blamed) - 1
	if last < 0 && len(guilty) > 0 || last >= 0 && len(q.blamed) < maxHistory && !sameKeys(q.blamed[last].relays, guilty) {
		q.blamed = append(q.blamed, blame{at, guilty})
	}
}

func sameKeys(a, b map[string]string) bool {
	return maps.EqualFunc(a, b, func(string, string) bool { return true })
}

// guilty are the relays that a node held for guilty at some time of a window, and why.
func (q *quarantine) guilty(from, to time.Duration) map[string]string {
	all := make(map[string]string)
	for i, b := range q.blamed {
		over := i+1 < len(q.blamed) && q.blamed[i+1].at <= from
		if !over && b.at <= to {
			maps.Copy(all, b.relays)
		}
	}
	return all
}

// blamed judges how many of some relays are in quarantine at some nodes, on the way to one another: whoever says that what
// it is sent gets lost is believed of the ways to itself, and they are its own.
func (j judgement) blamed(c scenario.Blamed) Outcome {
	o := upTo("relays in quarantine", Count, c.AtMost)
	j.History.mu.Lock()
	defer j.History.mu.Unlock()
	relays, among := j.Scenario.Nodes(c.Relays), j.Scenario.Nodes(c.Among)
	found := make(map[string]string)
	for pair, p := range j.History.pairs {
		if !slices.Contains(among, pair.From) || !slices.Contains(among, pair.To) {
			continue
		}
		for relay, why := range p.guilty(j.from, j.to) {
			if slices.Contains(relays, relay) {
				found[relay] = max(found[relay], pair.String()+": "+why)
			}
		}
	}
	o.Value = float64(len(found))
	for _, relay := range slices.Sorted(maps.Keys(found)) {
		o.Note = found[relay]
	}
	return o
}

// quarantinesIn counts the candidates that came into quarantine in a window.
func (h *History) quarantinesIn(pair scenario.Pair, from, to time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return within(p.quarantines, from, to)
	}
	return 0
}

// blamed is the latest reason for which a relay of a node's paths to another came into quarantine.
func (h *History) blamed(pair scenario.Pair) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return p.reason
	}
	return ""
}
