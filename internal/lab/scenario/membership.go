package scenario

// The actions on the membership.
type (
	// Join lets a node become a member and starts it.
	Join struct {
		Node    string
		By      string // invites it
		Through string // its address is the one that the token names first; empty: By's own
	}
	// Revoke expels a node.
	Revoke struct{ Node, By string }
	// Leave lets a node go of its own accord.
	Leave struct{ Node string }
	// Grant makes a node an admin.
	Grant struct{ Node, By string }
	// Withdraw makes an admin an ordinary node.
	Withdraw struct{ Node, By string }
	// Wipe ends nodes with SIGKILL and deletes all that they knew.
	Wipe struct{ Who Who }
	// Split cuts every link between nodes of different groups.
	Split struct{ Groups []Group }
	// Heal ends a Split.
	Heal struct{ Event string }
)

func (Join) action()     {}
func (Revoke) action()   {}
func (Leave) action()    {}
func (Grant) action()    {}
func (Withdraw) action() {}
func (Wipe) action()     {}
func (Split) action()    {}
func (Heal) action()     {}

// The checks of the membership. They are about the nodes of a group that run, without those that have left or were
// revoked. Their durations, in seconds, count from the beginning of the window.
type (
	// Converged bounds the time until all nodes know the same.
	Converged struct {
		Of     Group
		Within Limit
	}
	// Revoked bounds the time until no node has the named one for a member or has a path to it.
	Revoked struct {
		Node   string
		Of     Group
		Within Limit
	}
	// Members bounds the time until every node knows so many members.
	Members struct {
		Of     Group
		Are    int
		Within Limit
	}
	// Connected bounds the time until a packet that is sent after the beginning of the window has arrived.
	Connected struct {
		Flow   Pair
		Within Limit
	}
	// IdleTraffic bounds what any node sends on the underlay in the window, in bits a second.
	IdleTraffic struct {
		Of    Group
		Below Limit
	}
)

func (Converged) check()   {}
func (Revoked) check()     {}
func (Members) check()     {}
func (Connected) check()   {}
func (IdleTraffic) check() {}

// membershipEvents are the actions on the membership by their keys.
func membershipEvents() map[string]form {
	var (
		join     Join
		revoke   Revoke
		leave    Leave
		grant    Grant
		withdraw Withdraw
		wipe     Wipe
		split    Split
		heal     Heal
	)
	by := []string{"by"}
	return map[string]form{
		"join": {fields{
			"join": into(&join.Node, parseName), "by": into(&join.By, parseName), "through": into(&join.Through, parseName),
		}, by, func() any { return join }},
		"revoke": {fields{
			"revoke": into(&revoke.Node, parseName), "by": into(&revoke.By, parseName),
		}, by, func() any { return revoke }},
		"leave": {fields{"leave": into(&leave.Node, parseName)}, nil, func() any { return leave }},
		"grant": {fields{
			"grant": into(&grant.Node, parseName), "by": into(&grant.By, parseName),
		}, by, func() any { return grant }},
		"withdraw": {fields{
			"withdraw": into(&withdraw.Node, parseName), "by": into(&withdraw.By, parseName),
		}, by, func() any { return withdraw }},
		"wipe":  {fields{"wipe": intoWho(&wipe.Who)}, nil, func() any { return wipe }},
		"split": {fields{"split": intoGroups(&split.Groups)}, nil, func() any { return split }},
		"heal":  {fields{"heal": into(&heal.Event, parseName)}, nil, func() any { return heal }},
	}
}

// membershipChecks are the checks of the membership by their keys.
func membershipChecks() map[string]form {
	var (
		converged Converged
		members   Members
		connected Connected
		idle      IdleTraffic
	)
	revoked := Revoked{Of: Group{All}}
	count := float64(0)
	within := []string{"within"}
	return map[string]form{
		"converged": {
			limited(&converged.Within, "within", parseSeconds, fields{"converged": intoGroup(&converged.Of)}),
			within, func() any { return converged },
		},
		"revoked": {
			limited(&revoked.Within, "within", parseSeconds, fields{
				"revoked": into(&revoked.Node, parseName), "among": intoGroup(&revoked.Of),
			}),
			within, func() any { return revoked },
		},
		"members": {
			limited(&members.Within, "within", parseSeconds, fields{
				"members": intoGroup(&members.Of), "are": into(&count, parseCount),
			}),
			[]string{"are", "within"},
			func() any { members.Are = int(count); return members },
		},
		"connected": {
			limited(&connected.Within, "within", parseSeconds, fields{"connected": into(&connected.Flow, parsePair)}),
			within, func() any { return connected },
		},
		"idle-traffic": {
			limited(&idle.Below, "below", parseBitRate, fields{"idle-traffic": intoGroup(&idle.Of)}),
			[]string{"below"},
			func() any { return idle },
		},
	}
}

func parseBitRate(s string) (float64, error) {
	v, err := parseRate(s)
	return float64(v), err
}

// checkMembershipEvent finds names that mean nothing.
func (v *validator) checkMembershipEvent(e Event) {
	switch a := e.Action.(type) {
	case Join:
		v.two(e.Line, a.Node, a.By)
		if a.Through != "" {
			v.two(e.Line, a.Node, a.Through)
		}
	case Revoke:
		v.two(e.Line, a.Node, a.By)
	case Leave:
		v.site(e.Line, a.Node)
	case Grant:
		v.two(e.Line, a.Node, a.By)
	case Withdraw:
		v.two(e.Line, a.Node, a.By)
	case Wipe:
		v.who(e.Line, a.Who)
	case Split:
		side := make(map[string]bool)
		for _, g := range a.Groups {
			v.group(e.Line, g)
			for _, name := range v.s.Nodes(g) {
				if side[name] {
					v.fail(e.Line, "%s is in two groups", name)
				}
				side[name] = true
			}
		}
	case Heal:
		if _, ok := v.events[a.Event].(Split); !ok {
			v.fail(e.Line, "there is no event %q with split", a.Event)
		}
	}
}

// two checks that one node does something to another.
func (v *validator) two(line int, node, by string) {
	v.site(line, node)
	v.site(line, by)
	if node == by {
		v.fail(line, "%s cannot do that to itself", node)
	}
}

func (v *validator) group(line int, g Group) {
	if len(g) == 0 {
		v.fail(line, "a group names one node at least")
	}
	for _, name := range v.s.Nodes(g) {
		v.site(line, name)
	}
}

// checkMembership finds names that mean nothing.
func (v *validator) checkMembership(x Expectation) {
	switch c := x.Check.(type) {
	case Converged:
		v.group(x.Line, c.Of)
	case Revoked:
		v.site(x.Line, c.Node)
		v.group(x.Line, c.Of)
	case Members:
		v.group(x.Line, c.Of)
	case Connected:
		v.ends(x.Line, c.Flow)
	case IdleTraffic:
		v.group(x.Line, c.Of)
		if x.Window.From == x.Window.To {
			v.fail(x.Line, "idle traffic is measured from one moment to another")
		}
	}
}
