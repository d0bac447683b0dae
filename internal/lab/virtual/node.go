package virtual

import (
	"errors"
	"fmt"
	"time"

	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
	"overlayd/internal/lab/wan"
	"overlayd/internal/member"
	core "overlayd/internal/node"
)

// node is the node of one site.
type node struct {
	spec   scenario.Site
	site   wan.Site
	ports  [2]wan.Port // uplink and downlink
	host   *sim.Host   // nil before it first asks to be a member
	member bool        // it has joined, and has neither left nor been revoked
	wiped  bool        // it has no keys any more: whoever joins there is somebody else
}

// running reports whether the node runs.
func (n *node) running() bool { return n.host != nil && n.host.Core != nil }

// counts reports whether the node is one of those that must know what there is to know.
func (n *node) counts() bool { return n.member && n.running() }

// options are the host's.
func (n *node) options() sim.Options {
	o := sim.Options{Address: n.spec.Addresses()[0], NAT: n.spec.NAT == scenario.Masquerade}
	if all := n.spec.Addresses(); len(all) > 1 {
		o.Address6 = all[1]
	}
	for _, b := range n.spec.Bridges {
		o.Bridges = append(o.Bridges, b.Prefix.Addr())
	}
	return o
}

// atOnce is how many nodes join at the same time, as in real runs.
const atOnce = 6

// invitationTTL is how long an invitation is good, as overlayctl has it.
const invitationTTL = 24 * time.Hour

// enrol makes the network, lets every node join it that is to, and starts those that begin started.
func (t *trial) enrol() error {
	first := t.byName[t.scenario.Founder]
	o := first.options()
	o.Root = true
	first.host, first.member = t.founder.Host(first.spec.Name, o), true
	t.receiveAt(first)
	first.host.Start()
	var newcomers []*node
	for _, n := range t.nodes {
		if n != first && !n.spec.Outsider {
			newcomers = append(newcomers, n)
		}
	}
	t.enrolment.Nodes = len(newcomers) + 1
	if len(newcomers) == 0 {
		return nil
	}
	var token string
	if err := first.host.Ask(func(c *core.Core, now time.Time) (err error) {
		token, err = c.Invite(now, member.Offer{TTL: invitationTTL, Uses: len(newcomers)}, "")
		return err
	}); err != nil {
		return err
	}
	for len(newcomers) > 0 {
		some := newcomers[:min(atOnce, len(newcomers))]
		newcomers = newcomers[len(some):]
		for _, n := range some {
			if err := t.ask(n, token, n.spec.Down); err != nil {
				return err
			}
		}
		for _, n := range some {
			if err := t.joined(n); err != nil {
				return err
			}
		}
	}
	t.enrolment.Took, t.enrolment.LastJoin = t.net.Now(), t.net.Now()
	return nil
}

// ask lets a node begin to join by a token.
func (t *trial) ask(n *node, token string, rests bool) error {
	if n.host == nil || n.wiped {
		n.host, n.wiped = t.founder.Newcomer(n.spec.Name, n.options()), false
		t.receiveAt(n)
	}
	n.host.Rests = rests
	return n.host.Enter(token)
}

// joined waits until a node has joined.
func (t *trial) joined(n *node) error {
	for deadline := t.net.Now() + joinPatience; n.host.Joining(); t.net.Run(pollInterval / 10) {
		if t.net.Now() >= deadline {
			return fmt.Errorf("%s has not joined after %v", n.spec.Name, joinPatience)
		}
	}
	if n.host.Err != nil {
		return fmt.Errorf("%s could not join: %w", n.spec.Name, n.host.Err)
	}
	n.member = true
	return nil
}

// errOff says that a node was asked for something that does not run.
var errOff = errors.New("it does not run")

// order lets a person ask something of a node.
func (t *trial) order(at string, f func(c *core.Core, now time.Time) error) error {
	n := t.byName[at]
	if !n.running() {
		return fmt.Errorf("%s: %w", at, errOff)
	}
	return n.host.Ask(f)
}

// start starts a node again.
func (n *node) start() error {
	if !n.member {
		return errors.New("the node is not a member of a network")
	}
	n.host.Start()
	return nil
}

// leave lets a node go of its own accord.
func (t *trial) leave(n *node) error {
	if n.spec.Name == t.scenario.Founder {
		return errors.New("the founder holds the root key and cannot leave")
	}
	err := t.order(n.spec.Name, func(c *core.Core, now time.Time) error { return c.Leave(now) })
	if err != nil {
		return err
	}
	host := n.host
	t.net.After(leaveFor, func() {
		if host.Core != nil {
			host.Stop()
			host.Wipe()
		}
	})
	n.wiped = true
	return nil
}

// leaveFor is how long a node that leaves stays to tell the others, as the daemon does.
const leaveFor = time.Second

// relayOf is the first relay on the path that a direction takes now.
func (t *trial) relayOf(p scenario.Pair) (string, error) {
	t.look()
	s, ok := t.history.At(p, t.now())
	if !ok || len(s.Via) == 0 {
		return "", fmt.Errorf("%v goes %v", p, s)
	}
	return s.Via[0], nil
}
