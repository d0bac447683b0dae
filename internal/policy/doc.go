// Package policy holds the rules that the users of a node made for its paths, and compiles from them what the selection of
// one peer is to respect (pathselect.Policy) and which algorithm prices its paths.
//
//	kind       of             says
//	pin        one peer       exactly these relays, or none
//	avoid      a relay        only where the others are much worse
//	prefer     a relay        even where it is a little worse
//	never      a relay        not at all
//	cost       relay, uplink  so many milliseconds more
//	hops       paths          at most so many
//	algorithm  paths, class   priced by this one
//
// All but pins are for one peer or for every peer; what was said of one peer beats what was said of all, relay by relay. A
// new rule takes the place of the one that it contradicts; one that would make a pin senseless is refused. Where a pin has
// become senseless all the same, since another rule has gone, it does not count: never and hops beat pin.
//
// What a rule excludes is used only where no other path works, unless that rule is strict; other rules for the peer do not
// become strict by it. A rule lasts until it is removed or expires. Whether the nodes that it names are members is
// no concern of this package: rules outlive the membership of a node, since it may come back.
package policy
