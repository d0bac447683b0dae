package pathselect

import "overlayd/internal/wire"

// Bars says why a policy bars the path through some relays, whether such a path is known or not; empty if it does not. A
// nil policy bars none.
func (p *Policy) Bars(via []wire.NodeID) string { return p.bar(&Path{Via: via}) }
