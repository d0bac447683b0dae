// Package blame keeps a ledger of relays: which of them drops or delays what it is given to carry, by the evidence of the
// ends. It decides whom to leave alone for a while; it never chooses a path.
//
// Evidence is what package probe finds of the data on a path: for how long it was certain that data was dropped or held
// back while probes passed, or that it was delivered. A full path blames nobody, and a direct one has nobody to blame but
// an ISP.
//
//	          blame reaches 1 s,                  time passes
//	+------+  and most of it is its   +------------+      +-----------+   all the while   +------+
//	| free |------------------------->| quarantine |----->| probation |------------------>| free |
//	+------+                          +------------+      +-----------+                   +------+
//	                                     ^   2 min, then twice as long   |
//	                                     +---- each time, to an hour ----+
//	                                             blame reaches 0.5 s
//
// Blame halves every five minutes, as penalties for routes that flap decay (RFC 2439, from which the ceiling comes as well),
// and clean delivery lowers it faster. There need not be much of it: the evidence is certain before it comes here.
//
// # Which relay of several
//
// One bad path with several relays says that one of them is bad. As with tomography of networks (N. Duffield, "Network
// tomography of binary network performance characteristics", IEEE Trans. Information Theory 52, 2006) the fewest relays
// that explain all that is seen are the likeliest: blame of a path is split among its relays by what each has already, so
// that one that several bad paths have in common collects it; and one that just now delivers on another path gets a tenth.
// A relay is quarantined only if it gets most of a path's blame. So a bad path of two unknown relays blames neither
// enough, however long it lasts: the choice of paths leaves it for its loss anyway, and what is tried next tells.
//
// # Whose word
//
// What arrived is the word of the peer at the other end, and it may lie. So blame is kept by relay and peer: what a peer
// says about a relay counts for paths to that peer. When two peers agree, paths over the relay to others must show first that
// they carry data (Reported), as copies of it do. A peer that lies harms whoever wants to reach it, and nobody else.
package blame
