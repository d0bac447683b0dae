package node

import (
	"fmt"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// rules are what users wish of paths, and what that comes to for each peer.
type rules struct {
	set      *policy.Set
	compiled map[wire.NodeID]*pathselect.Policy // by peer, nil where no rule concerns it; emptied when the rules change
}

// loadRules takes what an earlier run stored, without what has expired since.
func loadRules(now time.Time, stored []policy.Rule) rules {
	r := rules{set: policy.New(stored), compiled: make(map[wire.NodeID]*pathselect.Policy)}
	r.set.Expire(now)
	return r
}

// policyFor is what users wish of the paths to a peer, nil if nothing. It stays the same value until the rules change.
func (c *Core) policyFor(p *peer, now time.Time) *pathselect.Policy {
	if len(c.rules.set.Rules()) == 0 {
		return nil
	}
	compiled, done := c.rules.compiled[p.id]
	if !done {
		compiled = c.rules.set.For(p.id, c.wall(now))
		c.rules.compiled[p.id] = compiled
	}
	return compiled
}

// pinnedVia are the relays of the path that is pinned for a peer, for which a circuit is wanted whether anybody nominates
// it or not; nil if none is pinned, or the direct one.
func (c *Core) pinnedVia(p *peer) []wire.NodeID { return c.rules.set.Pinned(p.id) }

// policyChanged makes every selection look at the rules again, and active peers look for the circuits that they want now.
func (c *Core) policyChanged(now time.Time) {
	clear(c.rules.compiled)
	for _, id := range c.order {
		p := c.peers[id]
		p.outdated = true
		if c.appoint(&p.choices, p.id) {
			c.setRates(now, p)
			c.outdate(p)
		}
		if p.use.level == active {
			p.relays.due = now
		}
		c.touch(p)
	}
	c.keepPinned(now)
}

// AddRules takes rules that users made, all or none, and returns them with their numbers, and those whose place they took.
func (c *Core) AddRules(now time.Time, wanted []policy.Rule) (added, replaced []policy.Rule, err error) {
	added, replaced, err = c.rules.set.Add(c.wall(now), wanted...)
	if err != nil {
		return nil, nil, err
	}
	c.rulesChanged(now, RuleReplaced, replaced)
	c.rulesChanged(now, RuleMade, added)
	c.emit(SaveRules{Rules: c.rules.set.Rules()})
	c.settle(now)
	return added, replaced, nil
}

// RemoveRules takes some rules out, or all, and returns them.
func (c *Core) RemoveRules(now time.Time, ids []policy.ID, all bool) ([]policy.Rule, error) {
	var removed []policy.Rule
	if all {
		removed = c.rules.set.Clear()
	} else {
		var err error
		if removed, err = c.rules.set.Remove(ids...); err != nil {
			return nil, err
		}
	}
	c.rulesChanged(now, RuleRemoved, removed)
	c.emit(SaveRules{Rules: c.rules.set.Rules()})
	c.settle(now)
	return removed, nil
}

// expireRules ends the rules whose time is over. The file may go on having them: whoever reads it looks at the time.
func (c *Core) expireRules(now time.Time) {
	c.rulesChanged(now, RuleExpired, c.rules.set.Expire(c.wall(now)))
}

func (c *Core) rulesChanged(now time.Time, how RuleChange, list []policy.Rule) {
	if len(list) == 0 {
		return
	}
	for i := range list {
		r := &list[i]
		v := RuleChanged{Change: how, Peer: r.Peer, Text: r.Text(c.wall(now), c.name)}
		if !r.Peer.IsZero() {
			v.Name = c.name(r.Peer)
		}
		c.emit(v)
	}
	c.warnOfRules()
	c.policyChanged(now)
}

// ruleTexts are the rules that hold for a peer, in words.
func (c *Core) ruleTexts(now time.Time, id wire.NodeID) (list control.List[string]) {
	for _, r := range c.rules.set.On(id) {
		list = append(list, r.Text(c.wall(now), c.name))
	}
	return list
}

// viewRule is a rule as the API shows it.
func (c *Core) viewRule(r *policy.Rule) control.Route {
	v := control.Route{
		ID: uint32(r.ID), Kind: control.RouteKind(r.Kind.String()), Relays: c.names(r.Relays), Uplink: string(r.Uplink),
		Hops: r.Hops, Algorithm: r.Algorithm, Strict: r.Strict, What: r.What(c.name), By: r.By, Created: r.At,
		Expires: r.Expires, Note: r.Note,
	}
	named := r.Relays
	if !r.Peer.IsZero() {
		v.Peer = c.name(r.Peer)
		named = append([]wire.NodeID{r.Peer}, r.Relays...)
	}
	for _, id := range named {
		if _, member := c.members.Get(id); !member {
			v.Strangers = append(v.Strangers, c.name(id))
		}
	}
	if r.Kind == policy.Cost {
		v.Cost = control.CostOf(r.Millis)
	}
	if r.OneClass {
		v.Class = r.Class.String()
	}
	return v
}

func (c *Core) viewRules(list []policy.Rule) (views []control.Route) {
	for i := range list {
		views = append(views, c.viewRule(&list[i]))
	}
	return views
}

// rulesOf are the rules that a request asks for: one for each relay, but one for all relays of a pin.
func (c *Core) rulesOf(now time.Time, r control.RouteRequest) ([]policy.Rule, error) {
	kind, known := policy.ParseKind(string(r.Kind))
	if !known {
		return nil, fmt.Errorf("%w: there is no rule called %q", control.ErrBadRequest, r.Kind)
	}
	rule := policy.Rule{
		Kind: kind, Uplink: pathselect.Uplink(r.Uplink), Millis: float64(r.Cost), Hops: r.Hops, Algorithm: r.Algorithm,
		Strict: r.Strict, By: r.By, Note: r.Note,
	}
	if r.For > 0 {
		rule.Expires = c.wall(now).Add(time.Duration(r.For))
	}
	if r.Class != "" {
		if rule.Class, rule.OneClass = wire.ParseTrafficClass(r.Class); !rule.OneClass {
			return nil, fmt.Errorf("%w: no traffic class is called %q: take default, bulk, interactive or critical",
				control.ErrBadRequest, r.Class)
		}
	}
	if _, err := pathselect.Lookup(r.Algorithm); kind == policy.Algorithm && err != nil {
		return nil, fmt.Errorf("%w: %w", control.ErrBadRequest, err)
	}
	if r.Peer != "" {
		var err error
		if rule.Peer, err = c.find(r.Peer); err != nil {
			return nil, err
		}
	}
	relays, err := c.findAll(r.Relays)
	if err != nil {
		return nil, err
	}
	if kind == policy.Pin {
		rule.Relays = relays
		return []policy.Rule{rule}, c.relayAll(relays)
	}
	if len(relays) == 0 {
		return []policy.Rule{rule}, nil
	}
	list := make([]policy.Rule, len(relays))
	for i := range relays {
		list[i] = rule
		list[i].Relays = relays[i : i+1 : i+1]
	}
	return list, nil
}

// relayAll says who of some members does not carry packets of others.
func (c *Core) relayAll(ids []wire.NodeID) error {
	for _, id := range ids {
		if m, _ := c.members.Get(id); !relays(m) {
			return fmt.Errorf("%w: %s does not relay for others, so no path leads through it: overlayctl members shows who does",
				control.ErrConflict, c.name(id))
		}
	}
	return nil
}
