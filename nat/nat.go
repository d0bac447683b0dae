// Package nat finds out where a node can be reached and gets two nodes behind NATs to each other. It decides and
// formats; it sends nothing and has no clock.
//
//   - AnswerSTUN, AppendSTUNRequest and ParseSTUNResponse are the STUN of RFC 8489, as far as a node needs it.
//   - Gatherer keeps the list of a node's own endpoints: its interfaces, and what members say they see.
//   - Puncher says when to probe which candidate endpoint of which peer, and when to tell the peer to do the same.
//
// Two nodes behind NATs that map without regard to the destination, and let in only what answers something that went out
// (endpoint-independent mapping, address and port-dependent filtering: RFC 4787), meet so:
//
//	A ── Tell, over whatever path there is (a circuit at first) ──▶ B
//	A ── probe ──▶ B's NAT: nobody asked for it, dropped; but A's NAT now lets B in
//	A ◀──────────────────────────────────────────────────── probe ── B     passes
//	A ── probe ────────────────────────────────────────────────────▶ B     passes
package nat

import (
	"errors"
	"net/netip"
)

// ErrInput is returned for an input that a core does not take.
var ErrInput = errors.New("not an input of this core")

// Output is what a Gatherer or a Puncher wants done.
type Output interface{ output() }

// Tick lets time pass, for a Gatherer as for a Puncher; it is due when NextDeadline has come.
type Tick struct{}

func (Tick) gathererInput() {}
func (Tick) puncherInput()  {}

// usable reports whether a node somewhere else can send anything to an endpoint.
func usable(ap netip.AddrPort) bool {
	addr := ap.Addr()
	return ap.IsValid() && ap.Port() != 0 && !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsMulticast() &&
		!addr.IsLinkLocalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// plain is an endpoint as this package compares them: IPv4 as IPv4, without a zone.
func plain(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// firstUsable is up to limit different usable endpoints of a list, in its order.
func firstUsable(list []netip.AddrPort, limit int) []netip.AddrPort {
	var out []netip.AddrPort
	seen := make(map[netip.AddrPort]bool)
	for _, ap := range list {
		ap = plain(ap)
		if len(out) < limit && usable(ap) && !seen[ap] {
			seen[ap] = true
			out = append(out, ap)
		}
	}
	return out
}
