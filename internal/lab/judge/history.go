package judge

import (
	"slices"
	"sync"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/scenario"
)

// Selection is what a node has chosen for a peer, from a moment on.
type Selection struct {
	At     time.Duration
	Via    []string
	None   bool // there is no path
	Reason string
}

// key names a candidate in a map.
func key(c control.Candidate) string { return RouteName(c.Via) + " " + c.Endpoint }

// pairHistory is what has been seen of one node's paths to one peer.
type pairHistory struct {
	selections []Selection
	switches   []count // grows by the counter's increments
	deaths     []count
	counter    int                      // as last reported
	states     map[string]control.State // of the candidates, as last reported
	quarantine                          // of the relays of candidates
}

// count is a running total, from a moment on.
type count struct {
	at    time.Duration
	total int
}

// maxHistory bounds what is kept of one pair.
const maxHistory = 10_000

// History is what has been seen of all paths, in times since the start. It may be used from many goroutines.
type History struct {
	mu    sync.Mutex // guards what follows
	epoch time.Time  // the start, or before it the making of the history
	began bool
	pairs map[scenario.Pair]*pairHistory
}

// NewHistory is a history that begins now, until Begin says when it really does.
func NewHistory(now time.Time) *History {
	return &History{epoch: now, pairs: make(map[scenario.Pair]*pairHistory)}
}

// Begin sets the start. What was seen before has a time below zero.
func (h *History) Begin(start time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	shift := start.Sub(h.epoch)
	for _, p := range h.pairs {
		for i := range p.selections {
			p.selections[i].At -= shift
		}
		for _, totals := range [][]count{p.switches, p.deaths, p.quarantines} {
			for i := range totals {
				totals[i].at -= shift
			}
		}
		for i := range p.blamed {
			p.blamed[i].at -= shift
		}
	}
	h.epoch, h.began = start, true
}

// Epoch is the start.
func (h *History) Epoch() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.epoch
}

// Choice is a selection and whose it is.
type Choice struct {
	Pair scenario.Pair
	Selection
}

// Add notes what a node reported of its paths at a time. It returns the choices that are new since the start.
func (h *History) Add(report control.Paths, at time.Time) []Choice {
	h.mu.Lock()
	defer h.mu.Unlock()
	var made []Choice
	for _, peer := range report.Peers {
		pair := scenario.Pair{From: report.Node, To: peer.Peer}
		p := h.pairs[pair]
		if p == nil {
			p = &pairHistory{states: make(map[string]control.State), counter: peer.Switches}
			h.pairs[pair] = p
		}
		if s, ok := p.add(peer, peer.Since.Sub(h.epoch), at.Sub(h.epoch)); ok && h.began && s.At >= 0 {
			made = append(made, Choice{pair, s})
		}
	}
	return made
}

// add notes one report. The selection in it was made at since, unless that is before what was seen last.
func (p *pairHistory) add(peer control.PeerPaths, since, at time.Duration) (Selection, bool) {
	if len(p.selections) >= maxHistory || len(p.deaths) >= maxHistory {
		return Selection{}, false
	}
	step := peer.Switches - p.counter
	if step < 0 {
		step = peer.Switches // the node has restarted
	}
	p.counter = peer.Switches
	now := Selection{At: at, None: peer.Selected == nil, Reason: peer.Reason}
	if !now.None {
		now.Via = peer.Selected.Via
	}
	last := len(p.selections) - 1
	if last < 0 || since > p.selections[last].At && since < at {
		now.At = since
	}
	p.switches = advance(p.switches, now.At, step)
	p.deaths = advance(p.deaths, at, p.newlyDead(peer.Candidates))
	p.addQuarantines(peer.Candidates, at)
	if last >= 0 && p.selections[last].None == now.None && slices.Equal(p.selections[last].Via, now.Via) {
		return Selection{}, false
	}
	p.selections = append(p.selections, now)
	return now, true
}

// newlyDead counts the candidates that are dead and were up or suspect when last seen.
func (p *pairHistory) newlyDead(candidates []control.Candidate) int {
	n := 0
	states := make(map[string]control.State, len(candidates))
	for _, c := range candidates {
		was := p.states[key(c)]
		if c.State == control.StateDead && (was == control.StateUp || was == control.StateSuspect) {
			n++
		}
		states[key(c)] = c.State
	}
	p.states = states
	return n
}

// advance appends to a running total, if there is something to add.
func advance(totals []count, at time.Duration, step int) []count {
	total := 0
	if len(totals) > 0 {
		total = totals[len(totals)-1].total
	}
	if step == 0 {
		return totals
	}
	return append(totals, count{at, total + step})
}

// within is by how much a running total grows in the window [from, to].
func within(totals []count, from, to time.Duration) int {
	before, until := 0, 0
	for _, c := range totals {
		if c.at < from {
			before = c.total
		}
		if c.at <= to {
			until = c.total
		}
	}
	return until - before
}

// At is the selection in force at a moment; false if nothing was known yet.
func (h *History) At(pair scenario.Pair, at time.Duration) (Selection, bool) {
	var found Selection
	ok := false
	for _, s := range h.selections(pair) {
		if s.At <= at {
			found, ok = s, true
		}
	}
	return found, ok
}

func (h *History) selections(pair scenario.Pair) []Selection {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return slices.Clone(p.selections)
	}
	return nil
}

// switchesIn counts the changes of selection in a window.
func (h *History) switchesIn(pair scenario.Pair, from, to time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return within(p.switches, from, to)
	}
	return 0
}

// deathsIn counts the paths that were found dead in a window.
func (h *History) deathsIn(pair scenario.Pair, from, to time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return within(p.deaths, from, to)
	}
	return 0
}

// matches reports whether a selection is as a route says.
func (s Selection) matches(r scenario.Route) bool { return !s.None && r.Matches(s.Via) }

// becomes is when, from a moment on, the selection first is as the route says; false if it is not by the end.
func (h *History) becomes(pair scenario.Pair, r scenario.Route, from, to time.Duration) (time.Duration, bool) {
	if s, ok := h.At(pair, from); ok && s.matches(r) {
		return from, true
	}
	for _, s := range h.selections(pair) {
		if s.At >= from && s.At <= to && s.matches(r) {
			return s.At, true
		}
	}
	return 0, false
}

// always reports whether the selection is as the route says throughout a window, and if not what else it is.
func (h *History) always(pair scenario.Pair, r scenario.Route, from, to time.Duration) (bool, string) {
	s, ok := h.At(pair, from)
	if !ok {
		return false, "nothing known"
	}
	if !s.matches(r) {
		return false, s.String()
	}
	for _, s := range h.selections(pair) {
		if s.At > from && s.At <= to && !s.matches(r) {
			return false, s.String()
		}
	}
	return true, ""
}

// String names the selection.
func (s Selection) String() string {
	if s.None {
		return "no path"
	}
	return RouteName(s.Via)
}

// RouteName names a path by its relays, as a scenario does.
func RouteName(via []string) string {
	if len(via) == 0 {
		return "direct"
	}
	return scenario.Route{Via: via}.String()
}

// PeersUp are the peers to which a node had a path in its last report.
func PeersUp(report control.Paths) map[string]bool {
	up := make(map[string]bool)
	for _, p := range report.Peers {
		if p.Selected != nil && p.State == control.StateUp {
			up[p.Peer] = true
		}
	}
	return up
}
