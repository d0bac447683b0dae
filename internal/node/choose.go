package node

import (
	"math/rand/v2"
	"slices"
	"time"

	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// choice is one algorithm at work for a peer: for a class of traffic, or for the default class and all that no other
// choice is for.
type choice struct {
	selector *pathselect.Selector
	route    pathselect.Selection
	using    pathselect.Algorithm
	class    wire.TrafficClass
}

// choices are the algorithms at work for a peer. The first one is there always: what it selects is also the way of
// control messages.
type choices struct {
	list   []*choice
	shadow *pathselect.Shadow // nil: none
	wish   *pathselect.Policy // that the selectors know of,
	told   bool               // all of them
}

// of is the choice for a class of traffic.
func (cs *choices) of(class wire.TrafficClass) *choice {
	for _, ch := range cs.list[1:] {
		if ch.class == class {
			return ch
		}
	}
	return cs.list[0]
}

// carries reports whether any choice sends data or copies on a path.
func (cs *choices) carries(id wire.PathID) bool {
	return slices.ContainsFunc(cs.list, func(ch *choice) bool { return ch.route.Carries(id) })
}

// selects reports whether a path is, or is about to be, selected by any choice.
func (cs *choices) selects(id wire.PathID) bool {
	return slices.ContainsFunc(cs.list, func(ch *choice) bool { return id == ch.route.Selected || id == ch.route.Trial })
}

// standby reports whether a path is to be ready to take over, or carries copies.
func (cs *choices) standby(id wire.PathID) bool {
	return slices.ContainsFunc(cs.list, func(ch *choice) bool {
		return ch.route.Carries(id) || id == ch.route.Apart || slices.Contains(ch.route.Standbys, id)
	})
}

func (c *Core) rng() *rand.Rand { return rand.New(rand.NewPCG(c.random.Uint64(), c.random.Uint64())) }

// choicesFor sets up the algorithms for a new peer.
func (c *Core) choicesFor(id wire.NodeID) choices {
	using := c.algorithm(id, wire.DefaultTraffic)
	first := &choice{selector: pathselect.New(c.cfg.Select, using, wire.DefaultTraffic, c.rng()), using: using}
	cs := choices{list: []*choice{first}}
	c.appoint(&cs, id)
	if c.cfg.Shadow != nil {
		cs.shadow = pathselect.NewShadow(c.cfg.Select, c.cfg.Shadow, wire.DefaultTraffic, c.rng())
	}
	return cs
}

// algorithm is the one for a class of traffic to a peer: the one that users wish for, or else as configured.
func (c *Core) algorithm(id wire.NodeID, class wire.TrafficClass) pathselect.Algorithm {
	if name, wished := c.rules.set.AlgorithmFor(id, class); wished {
		if a, err := pathselect.Lookup(name); err == nil { // warnOfRules says so otherwise
			return a
		}
	}
	if a := c.cfg.Algorithms[class]; a != nil {
		return a
	}
	if c.cfg.Algorithm != nil {
		return c.cfg.Algorithm
	}
	return pathselect.Default()
}

// appoint makes the choices fit the algorithms that are configured or wished for now. Classes with the algorithm of the
// default class share its choice, so that in most networks there is one.
func (c *Core) appoint(cs *choices, id wire.NodeID) (changed bool) {
	first := cs.list[0]
	if using := c.algorithm(id, wire.DefaultTraffic); using.Name() != first.using.Name() {
		first.using, changed = using, true
		c.step(first.selector.Step(c.now, pathselect.Use{Algorithm: using}))
	}
	list := cs.list[:1:1]
	for class := range wire.TrafficClass(wire.TrafficClasses) {
		using := c.algorithm(id, class)
		if class == wire.DefaultTraffic || using.Name() == first.using.Name() {
			continue
		}
		if ch := cs.of(class); ch != first && ch.using.Name() == using.Name() {
			list = append(list, ch)
			continue
		}
		list = append(list, &choice{
			selector: pathselect.New(c.cfg.Select, using, class, c.rng()), using: using, class: class,
		})
		changed = true
	}
	changed = changed || len(list) != len(cs.list)
	cs.list = list
	cs.told = false
	return changed
}

// chooseEvery is how often the selectors see new measurements at most, if no state of a path has changed: they cost more
// than a probe does. Where none come in they look at least every chooseIdle that something else happens.
const (
	chooseEvery = 40 * time.Millisecond
	chooseIdle  = 100 * time.Millisecond
)

// measuredAnew makes the selectors look at the paths soon.
func (p *peer) measuredAnew(now time.Time) {
	if now.Sub(p.chosenAt) >= chooseEvery {
		p.outdated = true
	} else if p.chooseAt.IsZero() {
		p.chooseAt = p.chosenAt.Add(chooseEvery)
	}
}

// tellWish tells the selectors what users wish of the paths to a peer, if they do not know.
func (c *Core) tellWish(now time.Time, p *peer) {
	if wish := c.policyFor(p, now); wish != p.choices.wish || !p.choices.told {
		p.choices.wish, p.choices.told = wish, true
		for _, ch := range p.choices.list {
			c.step(ch.selector.Step(now, pathselect.Wish{Policy: wish}))
		}
		if p.choices.shadow != nil {
			c.step(p.choices.shadow.Step(now, pathselect.Wish{Policy: wish}, p.route().Selected))
		}
	}
}

// choose lets the selectors see the latest measurements and carries out what they decide.
func (c *Core) choose(now time.Time, p *peer) (any bool) {
	if p.outdated {
		p.outdated, p.chosenAt, p.chooseAt = false, now, time.Time{}
		c.tellWish(now, p)
		update := pathselect.Update{Paths: c.measured(now, p), Trouble: now.Before(c.trouble.until)}
		for _, ch := range p.choices.list {
			c.step(ch.selector.Step(now, update))
		}
		if p.choices.shadow != nil && p.use.level == active {
			c.step(p.choices.shadow.Step(now, update, p.route().Selected))
		}
	}
	for _, ch := range p.choices.list {
		c.selectOut = ch.selector.Drain(c.selectOut[:0])
		for _, out := range c.selectOut {
			if sel, ok := out.(pathselect.Select); ok {
				any = true
				c.selected(now, p, ch, sel.Selection)
			}
		}
	}
	c.report(now, p)
	c.reviewAudit(now, p)
	return any
}

// selected carries out a selection.
func (c *Core) selected(now time.Time, p *peer, ch *choice, sel pathselect.Selection) {
	before := ch.route.Selected
	ch.route = sel
	c.outdate(p)
	c.hopsChanged = c.hopsChanged || p.use.level == active
	if ch == p.choices.list[0] {
		c.networksChanged = true
	}
	if before != sel.Selected && sel.Reason.Code == pathselect.Cleaner {
		p.leftForLoss(now, before)
		p.relays.due = now
	}
	if q := p.paths[sel.Selected]; q != nil && before != sel.Selected && sel.Works() {
		c.emit(c.switched(p, ch.class, q, sel.Reason))
	}
	c.setRates(now, p)
}

// measuredPath is a path with what is known of it now.
type measuredPath struct {
	path *path
	probe.Measurement
}

// measured is what the selectors need of the prober's measurements.
func (c *Core) measured(now time.Time, p *peer) []pathselect.Path {
	measured := make([]measuredPath, 0, len(p.paths))
	for _, q := range p.sorted() {
		if m, ok := p.prober.Measure(q.id, now); ok {
			measured = append(measured, measuredPath{q, m})
		}
	}
	c.observeHoles(now, p, measured)
	list := make([]pathselect.Path, 0, len(measured))
	for i := range measured {
		q, m := measured[i].path, &measured[i].Measurement
		c.judge(now, p, q, &m.Data)
		list = append(list, pathselect.Path{
			ID: q.id, Via: q.via, State: selectState(m.State), Since: m.Since, Why: m.Why, Samples: m.Samples,
			RTT: m.RTT, RecentRTT: m.RecentRTT, Deviation: m.Deviation, MinRTT: m.MinRTT,
			LossOut: m.LossOut, LossOutLow: m.LossOutLow, LossProbes: m.LossOutProbes,
			LossRecent: m.LossRecent, LossRecentLow: m.LossRecentLow,
			Uplink: c.uplinkOf(now, p, q), LastLoss: m.LastLoss, Rate: m.Achievable, Load: c.loadAlong(q.via),
			Quarantine: c.distrust(now, p, q),
		})
		p.judgeHoles(&list[i])
	}
	return list
}

func selectState(s probe.State) pathselect.State {
	switch s {
	case probe.Up:
		return pathselect.Up
	case probe.Suspect:
		return pathselect.Suspect
	case probe.Dead:
		return pathselect.Dead
	default:
		return pathselect.Unknown
	}
}

// setRates makes every path cost what its use deserves (D8).
func (c *Core) setRates(now time.Time, p *peer) {
	selected := p.route().Selected
	for _, q := range p.sorted() {
		rate := p.leastRate()
		switch {
		case p.use.level != active && q.id != selected && selected != 0 && p.state(q.id) == probe.Up:
			rate = probe.Quiet // one path keeps the contact: most hosts have two families, and would pay twice
		case p.use.level == active && (p.choices.selects(q.id) || q.id == p.audit.path):
			rate = probe.Selected
		case p.use.level == active && p.choices.standby(q.id):
			rate = probe.Standby
		case p.use.level == active, p.use.level == recent && q.id == p.route().Selected:
			rate = probe.Recent
		}
		if q.id == p.route().Selected {
			rate = max(rate, p.beside, p.hop)
		}
		if rate != q.rate {
			q.rate = rate
			c.step(p.prober.Step(now, probe.SetRate{ID: q.id, Rate: rate}))
		}
	}
}

// trouble is what tells a node that something near it is broken: paths in use to different peers fail together.
type trouble struct {
	by    wire.NodeID // the peer or first hop of the latest failure
	at    time.Time
	until time.Time
}

const (
	troubleWithin = 3 * time.Second
	troubleFor    = 10 * time.Second
)

// note takes the failure of a path in use, which is direct, or begins with a hop.
func (t *trouble) note(now time.Time, by wire.NodeID) {
	if !t.at.IsZero() && by != t.by && now.Sub(t.at) < troubleWithin {
		t.until = now.Add(troubleFor)
	}
	t.by, t.at = by, now
}
