package lab

import (
	"slices"
	"sync"
	"time"

	"overlayd/internal/lab/scenario"
)

// pathsReport is what the lab reads of `overlayctl paths -o json`.
type pathsReport struct {
	Node  string      `json:"node"`
	Peers []peerPaths `json:"peers"`
}

// peerPaths is how one node sends to one peer.
type peerPaths struct {
	Peer       string      `json:"peer"`
	State      string      `json:"state"`
	Selected   *pathState  `json:"selected"`
	Reason     string      `json:"reason"`
	Since      time.Time   `json:"since"`
	Switches   int         `json:"switches"`
	Candidates []pathState `json:"candidates"`
}

type pathState struct {
	Via      []string `json:"via"`
	Endpoint string   `json:"endpoint"`
	State    string   `json:"state"` // of a candidate
}

// key names a path in a map.
func (p pathState) key() string { return routeName(p.Via) + " " + p.Endpoint }

// selection is what a node has chosen for a peer, from a moment on.
type selection struct {
	at     time.Duration
	via    []string
	none   bool // there is no path
	reason string
}

// pairHistory is what has been seen of one node's paths to one peer.
type pairHistory struct {
	selections []selection
	switches   []count // grows by the counter's increments
	deaths     []count
	counter    int               // as last reported
	states     map[string]string // of the candidates, as last reported
}

// count is a running total, from a moment on.
type count struct {
	at    time.Duration
	total int
}

// maxHistory bounds what is kept of one pair.
const maxHistory = 10_000

// history is what has been seen of all paths, in times since the start. It may be used from many goroutines.
type history struct {
	mu    sync.Mutex // guards what follows
	epoch time.Time  // the start, or before it the making of the history
	began bool
	pairs map[scenario.Pair]*pairHistory
}

func newHistory() *history {
	return &history{epoch: time.Now(), pairs: make(map[scenario.Pair]*pairHistory)}
}

// begin sets the start. What was seen before has a time below zero.
func (h *history) begin(start time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	shift := start.Sub(h.epoch)
	for _, p := range h.pairs {
		for i := range p.selections {
			p.selections[i].at -= shift
		}
		for _, totals := range [][]count{p.switches, p.deaths} {
			for i := range totals {
				totals[i].at -= shift
			}
		}
	}
	h.epoch, h.began = start, true
}

// add notes a report that came at a time. It returns the selections that are new since the start, each with its pair.
func (h *history) add(report pathsReport, at time.Time) map[scenario.Pair]selection {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := make(map[scenario.Pair]selection)
	for _, peer := range report.Peers {
		pair := scenario.Pair{From: report.Node, To: peer.Peer}
		p := h.pairs[pair]
		if p == nil {
			p = &pairHistory{states: make(map[string]string), counter: peer.Switches}
			h.pairs[pair] = p
		}
		if s, ok := p.add(peer, peer.Since.Sub(h.epoch), at.Sub(h.epoch)); ok && h.began && s.at >= 0 {
			changed[pair] = s
		}
	}
	return changed
}

// add notes one report. The selection in it was made at since, unless that is before what was seen last.
func (p *pairHistory) add(peer peerPaths, since, at time.Duration) (selection, bool) {
	if len(p.selections) >= maxHistory || len(p.deaths) >= maxHistory {
		return selection{}, false
	}
	step := peer.Switches - p.counter
	if step < 0 {
		step = peer.Switches // the node has restarted
	}
	p.counter = peer.Switches
	now := selection{at: at, none: peer.Selected == nil, reason: peer.Reason}
	if !now.none {
		now.via = peer.Selected.Via
	}
	last := len(p.selections) - 1
	if last < 0 || since > p.selections[last].at && since < at {
		now.at = since
	}
	p.switches = advance(p.switches, now.at, step)
	p.deaths = advance(p.deaths, at, p.newlyDead(peer.Candidates))
	if last >= 0 && p.selections[last].none == now.none && slices.Equal(p.selections[last].via, now.via) {
		return selection{}, false
	}
	p.selections = append(p.selections, now)
	return now, true
}

// newlyDead counts the candidates that are dead and were up or suspect when last seen.
func (p *pairHistory) newlyDead(candidates []pathState) int {
	n := 0
	states := make(map[string]string, len(candidates))
	for _, c := range candidates {
		was := p.states[c.key()]
		if c.State == "dead" && (was == "up" || was == "suspect") {
			n++
		}
		states[c.key()] = c.State
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

// at is the selection in force at a moment; false if nothing was known yet.
func (h *history) at(pair scenario.Pair, at time.Duration) (selection, bool) {
	var found selection
	ok := false
	for _, s := range h.selections(pair) {
		if s.at <= at {
			found, ok = s, true
		}
	}
	return found, ok
}

func (h *history) selections(pair scenario.Pair) []selection {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return slices.Clone(p.selections)
	}
	return nil
}

// switchesIn counts the changes of selection in a window.
func (h *history) switchesIn(pair scenario.Pair, from, to time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return within(p.switches, from, to)
	}
	return 0
}

// deathsIn counts the paths that were found dead in a window.
func (h *history) deathsIn(pair scenario.Pair, from, to time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pairs[pair]; p != nil {
		return within(p.deaths, from, to)
	}
	return 0
}

// matches reports whether a selection is as a route says.
func (s selection) matches(r scenario.Route) bool { return !s.none && r.Matches(s.via) }

// becomes is when, from a moment on, the selection first is as the route says; false if it is not by the end.
func (h *history) becomes(pair scenario.Pair, r scenario.Route, from, to time.Duration) (time.Duration, bool) {
	if s, ok := h.at(pair, from); ok && s.matches(r) {
		return from, true
	}
	for _, s := range h.selections(pair) {
		if s.at >= from && s.at <= to && s.matches(r) {
			return s.at, true
		}
	}
	return 0, false
}

// always reports whether the selection is as the route says throughout a window, and if not what else it is.
func (h *history) always(pair scenario.Pair, r scenario.Route, from, to time.Duration) (bool, string) {
	s, ok := h.at(pair, from)
	if !ok {
		return false, "nothing known"
	}
	if !s.matches(r) {
		return false, s.String()
	}
	for _, s := range h.selections(pair) {
		if s.at > from && s.at <= to && !s.matches(r) {
			return false, s.String()
		}
	}
	return true, ""
}

// String names the selection.
func (s selection) String() string {
	if s.none {
		return "no path"
	}
	return routeName(s.via)
}

func routeName(via []string) string {
	if len(via) == 0 {
		return "direct"
	}
	return scenario.Route{Via: via}.String()
}

// peersUp are the peers to which a node had a path in its last report.
func peersUp(report pathsReport) map[string]bool {
	up := make(map[string]bool)
	for _, p := range report.Peers {
		if p.Selected != nil && p.State == "up" {
			up[p.Peer] = true
		}
	}
	return up
}
