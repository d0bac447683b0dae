package judge

import (
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/scenario"
)

// quarantine is what has been seen of one node's distrust of the relays of its paths to one peer.
type quarantine struct {
	quarantines []count         // candidates that were put there
	inside      map[string]bool // candidates, as last reported
	reason      string          // of the latest
}

// add notes one report.
func (q *quarantine) add(candidates []control.Candidate, at time.Duration) {
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
	q.quarantines = advance(q.quarantines, at, newly)
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
