package node

import (
	"slices"

	"overlayd/config"
	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
)

// setClasses tells the data plane the rules for traffic classes, if that is news: rules name peers, and members come, go
// and change their names.
func (n *Node) setClasses() {
	if len(n.cfg.Classes) == 0 {
		return
	}
	rules, peers, unknown := classRules(n.cfg.Classes, n.core.lookup)
	if n.ruled != nil && slices.Equal(peers, n.ruled) {
		return
	}
	n.ruled = peers
	n.plane.SetClasses(rules)
	if len(unknown) > 0 {
		n.log.Warn("rules for traffic classes name peers that are no members: they count when those join", "peers", unknown)
	}
}

// changesMembers reports whether names of members may have changed.
func changesMembers(out Output) bool {
	switch out.(type) {
	case AddPeer, RemovePeer:
		return true
	}
	return false
}

// classRules are rules as the data plane takes them, without those whose peer is not known, and the peers of all: the zero
// NodeID where there is none.
func classRules(list []config.ClassRule, find func(string) (wire.NodeID, bool)) (
	rules []classes.Rule, peers []wire.NodeID, unknown []string,
) {
	for _, r := range list {
		rule := classes.Rule{Class: r.Class, DSCP: r.DSCP, Protocols: r.Protocols, Networks: r.Networks}
		for _, p := range r.Ports {
			rule.Ports = append(rule.Ports, classes.Ports(p))
		}
		known := true
		if r.Peer != "" {
			rule.Peer, known = find(r.Peer)
		}
		peers = append(peers, rule.Peer)
		if !known {
			unknown = append(unknown, r.Peer)
			continue
		}
		rules = append(rules, rule)
	}
	return rules, peers, unknown
}
