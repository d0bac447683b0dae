package node

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// What lies behind the nodes: which member carries packets to which network, and which of the nodes at a site answers for
// its gateway address. Several members may advertise one network; each node sends to the one that it reaches best.
const (
	carrierGain  = 10 * time.Millisecond // a member carries a network instead of another one if it is nearer by so much
	carrierRatio = 3                     // and by one part in so many of the other one's round trip
	carrierHold  = 10 * time.Second      // and has been for so long; failures do not wait

	// How long a member may be suspect until another one stands in for it. To do so too early costs nothing: packets of
	// all members that advertise a network are taken, and two nodes that answer for one gateway both forward.
	doubtFor = 300 * time.Millisecond

	// A gateway address is not answered for in the first moments, while the other nodes of the site are not heard yet.
	gatewayWait = 2 * time.Second
)

// carrier is the member that carries packets to one network.
type carrier struct {
	id     wire.NodeID
	rival  wire.NodeID // a better one, perhaps
	rivals time.Time   // since when it is
}

// networks is what the Core knows of the networks behind nodes.
type networks struct {
	carriers map[netip.Prefix]*carrier
	holding  map[netip.Addr]bool
	refused  map[netip.Prefix]refusedRoute
	waited   bool      // for the other nodes of the site
	doubt    time.Time // when some suspect member is to be looked at again; zero: there is none
	told     Networks  // as last put out
}

// reviewNetworks chooses anew who carries what. It is called whenever members or paths have changed, and in every sweep.
func (c *Core) reviewNetworks(now time.Time) {
	c.networksChanged, c.networks.doubt = false, time.Time{}
	self := c.ownAddresses()
	if len(c.advertisers) == 0 && len(c.networks.told.Behind) == 0 && slices.Equal(c.networks.told.Self, self) {
		return
	}
	local := c.localNetworks()
	advertised := make(map[netip.Prefix][]member.Member)
	behind := make(map[wire.NodeID][]netip.Prefix)
	for _, id := range slices.SortedFunc(maps.Keys(c.advertisers), wire.NodeID.Compare) {
		m, ok := c.members.Get(id)
		if !ok || m.Barred || id == c.self {
			continue
		}
		behind[id] = m.Subnets
		for _, subnet := range m.Subnets {
			advertised[subnet] = append(advertised[subnet], m)
		}
	}
	host := c.guarded()
	beside := make(map[wire.NodeID]probe.Rate)
	next := Networks{Self: self, Overlay: c.overlayPrefixes(), Local: local, Behind: behind, Carriers: make(map[netip.Prefix]wire.NodeID)}
	for _, subnet := range sortedPrefixes(advertised) {
		list := advertised[subnet]
		mine := slices.Contains(local, subnet)
		if !mine && c.refuses(now, subnet, host) {
			continue
		}
		if id := c.carrierOf(now, subnet, list); !mine {
			next.Carriers[subnet] = id
		}
		for _, m := range list {
			switch {
			case mine:
				beside[m.ID] = probe.Standby
			case len(list) > 1 && c.inUseBy(list):
				beside[m.ID] = max(beside[m.ID], probe.Recent)
			}
		}
	}
	maps.DeleteFunc(c.networks.carriers, func(p netip.Prefix, _ *carrier) bool { return advertised[p] == nil })
	c.warnOfNetworks(now, advertised, local)
	c.standBeside(now, beside)
	if !next.equal(c.networks.told) {
		c.networks.told = next
		c.emit(next)
	}
	c.reviewGateways(now, local, advertised)
}

// localNetworks are those behind this node that it may advertise.
func (c *Core) localNetworks() []netip.Prefix {
	m, ok := c.members.Get(c.self)
	if !ok {
		return nil
	}
	return m.Subnets
}

// ownAddresses are this node's on the overlay.
func (c *Core) ownAddresses() []netip.Addr {
	if m, ok := c.members.Get(c.self); ok {
		return addressesOf(m)
	}
	return []netip.Addr{c.cfg.Certificate.IPv4, c.cfg.Certificate.IPv6}
}

// overlayPrefixes are those of all members' addresses.
func (c *Core) overlayPrefixes() []netip.Prefix {
	return []netip.Prefix{c.cfg.Network.Prefix, c.cfg.Network.Prefix6}
}

// inUseBy reports whether data flows to one of the members.
func (c *Core) inUseBy(list []member.Member) bool {
	return slices.ContainsFunc(list, func(m member.Member) bool {
		p := c.peers[m.ID]
		return p != nil && p.use.level != idle
	})
}

// standBeside keeps contact with members that may have to stand in for another one.
func (c *Core) standBeside(now time.Time, beside map[wire.NodeID]probe.Rate) {
	for _, id := range slices.SortedFunc(maps.Keys(beside), wire.NodeID.Compare) {
		c.contact(now, id)
	}
	for _, id := range c.order {
		p := c.peers[id]
		if rate := beside[id]; rate != p.beside {
			p.beside = rate
			c.setRates(now, p)
		}
	}
}

// carrierOf chooses who carries packets to a network that the members of list advertise, in the order of their
// identifiers: what is in use stays while it works, unless another one is clearly nearer for a while.
func (c *Core) carrierOf(now time.Time, subnet netip.Prefix, list []member.Member) wire.NodeID {
	k := c.networks.carriers[subnet]
	if k == nil {
		k = &carrier{}
		c.networks.carriers[subnet] = k
	}
	best := list[0].ID
	bestCost, bestUp := c.reach(now, best)
	present := false
	for _, m := range list {
		present = present || m.ID == k.id
		if cost, up := c.reach(now, m.ID); up && (!bestUp || cost < bestCost) {
			best, bestCost, bestUp = m.ID, cost, up
		}
	}
	cost, up := c.reach(now, k.id)
	switch {
	case !present, bestUp && !up:
		k.id, k.rival = best, wire.NodeID{}
	case best == k.id || !bestUp || cost-bestCost < carrierGain || bestCost > cost-cost/carrierRatio:
		k.rival = wire.NodeID{}
	case k.rival != best:
		k.rival, k.rivals = best, now
	case now.Sub(k.rivals) >= carrierHold:
		k.id, k.rival = best, wire.NodeID{}
	}
	return k.id
}

// reach is the round-trip time to a member and whether it can be reached.
func (c *Core) reach(now time.Time, id wire.NodeID) (time.Duration, bool) {
	p := c.peers[id]
	if p == nil {
		return 0, false
	}
	m, ok := p.prober.Measure(p.route().Selected, now)
	if !ok || m.State != probe.Suspect {
		return m.RTT, ok && m.State == probe.Up
	}
	end := m.Since.Add(doubtFor)
	if now.Before(end) && (c.networks.doubt.IsZero() || end.Before(c.networks.doubt)) {
		c.networks.doubt = end
	}
	return m.RTT, now.Before(end)
}

// reviewGateways decides which gateway addresses this node answers for: of the nodes at a site that are alive, the one
// with the smallest identifier does.
func (c *Core) reviewGateways(now time.Time, local []netip.Prefix, advertised map[netip.Prefix][]member.Member) {
	for _, gateway := range c.cfg.Gateways {
		hold := false
		for _, subnet := range local {
			if !subnet.Contains(gateway) {
				continue
			}
			hold = true
			for _, m := range advertised[subnet] {
				if _, up := c.reach(now, m.ID); up && m.ID.Compare(c.self) < 0 {
					hold = false
				}
			}
		}
		if hold && !c.networks.waited {
			continue
		}
		if hold != c.networks.holding[gateway] {
			c.networks.holding[gateway] = hold
			c.emit(HoldGateway{Addr: gateway, Hold: hold})
		}
	}
}

// gatewaysDue is when this node may begin to answer for gateway addresses.
func (c *Core) gatewaysDue() (time.Time, bool) {
	return c.origin.Add(gatewayWait), len(c.cfg.Gateways) > 0 && !c.networks.waited
}

// carries are the networks that this node sends to through a member.
func (c *Core) carries(id wire.NodeID) (list []netip.Prefix) {
	for _, subnet := range sortedPrefixes(c.networks.told.Carriers) {
		if c.networks.told.Carriers[subnet] == id {
			list = append(list, subnet)
		}
	}
	return list
}

func sortedPrefixes[V any](m map[netip.Prefix]V) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(m), func(a, b netip.Prefix) int {
		if d := a.Addr().Compare(b.Addr()); d != 0 {
			return d
		}
		return a.Bits() - b.Bits()
	})
}

func (n Networks) equal(other Networks) bool {
	return slices.Equal(n.Self, other.Self) && slices.Equal(n.Local, other.Local) &&
		maps.Equal(n.Carriers, other.Carriers) && maps.EqualFunc(n.Behind, other.Behind, slices.Equal)
}
