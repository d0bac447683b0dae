package sim

import (
	"overlayd/tunnel/fwd"
)

// session stands for the WireGuard session of two hosts, each in one run: a restart of either ends it.
type session struct{ mine, theirs uint64 }

// accepts reports whether WireGuard would take a packet that came on a path (nil: from an address that is not known): in
// a session, or if one can begin now, as package tunnel lets it: with a member, from where it has proved to be, and not
// while the route is held.
func (h *Host) accepts(from *Host, path *fwd.Path) bool {
	if !h.partners[from] {
		return false
	}
	now := session{mine: h.epoch, theirs: from.epoch}
	if h.sessions[from] == now {
		return true
	}
	if r := h.table.Routes[from.ID]; path == nil || path.Peer != from.ID || r == nil || r.Held {
		return false
	}
	if !handshakePasses(from, h) || !h.newer(from) {
		return false
	}
	h.sessions[from] = now
	return true
}

// reaches reports whether there is a session for what is sent to another host, or one begins: without, nothing but
// handshakes is on the wire. A handshake takes no time here, and fails while the other one would not answer it, or no path
// carries it.
func (h *Host) reaches(to *Host) bool {
	if h.inSession(to) {
		return true
	}
	if to.Core == nil || !to.partners[h] {
		return false
	}
	if r := to.table.Routes[h.ID]; r == nil || r.Held || !handshakePasses(h, to) || !to.newer(h) {
		return false
	}
	h.sessions[to] = session{mine: h.epoch, theirs: to.epoch}
	return true
}

// newer reports whether a handshake that another host begins now is later than its last one, by its clock: WireGuard takes
// no other.
func (h *Host) newer(from *Host) bool {
	at := from.wall()
	if at.Before(h.stamps[from]) {
		return false
	}
	h.stamps[from] = at
	return true
}

func (h *Host) inSession(other *Host) bool {
	_, ok := h.sessions[other]
	return ok
}

// deliver passes up what WireGuard's replay window lets through: each packet once.
func (h *Host) deliver(p *packet) {
	seen := h.seen[p.from]
	if seen == nil {
		seen = make(map[uint64]bool)
		h.seen[p.from] = seen
	}
	if seen[p.seq] {
		return
	}
	seen[p.seq] = true
	if h.net.Census != nil {
		h.net.Census.delivered(h, p.from)
	}
	if h.Delivered != nil {
		h.Delivered(p.from, p.seq, p.sent)
	}
}
