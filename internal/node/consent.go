package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/routeguard"
	"overlayd/probe"
)

// refuseFor is how long a network stays refused after its reason has gone: paths come and go.
const refuseFor = 10 * time.Second

// refusedRoute is a network that this host does not route into the overlay.
type refusedRoute struct {
	routeguard.Refusal
	held time.Time // when it last held
}

// refuses reports whether a network that others advertise is kept out of the host's routes.
func (c *Core) refuses(now time.Time, subnet netip.Prefix, host routeguard.Host) bool {
	why, refused := host.Check(subnet)
	known := c.networks.refused[subnet]
	switch {
	case refused:
		c.networks.refused[subnet] = refusedRoute{Refusal: why, held: now}
	case now.Sub(known.held) >= refuseFor:
		delete(c.networks.refused, subnet)
		return false
	}
	return true
}

// guarded is this host with the underlay endpoints that are in use, for which routes must be left as they are.
func (c *Core) guarded() routeguard.Host {
	host := c.host
	for _, id := range c.order {
		p := c.peers[id]
		for _, q := range p.list {
			if state := p.state(q.id); q.direct() && (state == probe.Up || state == probe.Suspect) {
				host.InUse = append(host.InUse, routeguard.InUse{Endpoint: q.endpoint, Peer: c.name(id)})
			}
		}
	}
	return host
}

// warnOfNetworks says what is not as those who advertise networks want it.
func (c *Core) warnOfNetworks(now time.Time, advertised map[netip.Prefix][]member.Member, local []netip.Prefix) {
	var refused []string
	for _, subnet := range sortedPrefixes(c.networks.refused) {
		if advertised[subnet] == nil {
			delete(c.networks.refused, subnet)
			continue
		}
		refused = append(refused, fmt.Sprintf("%v, which %s advertises, is not routed into the overlay, since %v",
			subnet, c.namesOf(advertised[subnet]), c.networks.refused[subnet]))
	}
	c.warn("refused networks", refused)
	c.warn("one prefix at two sites", c.twoSites(now, advertised, local))
}

func (c *Core) namesOf(list []member.Member) string {
	var names []string
	for _, m := range list {
		names = append(names, c.name(m.ID))
	}
	return strings.Join(names, ", ")
}

// siteFor is how long a node of the same site may take until it is reached on the network that both advertise.
const siteFor = 30 * time.Second

// twoSites finds networks behind this node that another one advertises as well which is not in them: it publishes an
// address in the network, is reached, and not there. Packets to such a network go to either site.
func (c *Core) twoSites(now time.Time, advertised map[netip.Prefix][]member.Member, local []netip.Prefix) (texts []string) {
	for _, subnet := range local {
		for _, m := range advertised[subnet] {
			p := c.peers[m.ID]
			inside := slices.IndexFunc(m.Record.Endpoints, func(e netip.AddrPort) bool { return subnet.Contains(e.Addr()) })
			if p == nil || inside < 0 || p.speakingPath() == nil || !c.attachedTo(subnet) {
				continue
			}
			there := slices.ContainsFunc(p.list, func(q *path) bool {
				state := p.state(q.id)
				return q.direct() && subnet.Contains(q.endpoint.Addr()) && (state == probe.Up || state == probe.Suspect)
			})
			if there {
				p.onSite = now
			}
			if since := p.onSite; since.IsZero() {
				p.onSite = now // it has siteFor from now on
			} else if now.Sub(since) >= siteFor {
				texts = append(texts, fmt.Sprintf("%s advertises %v like this node, but is not reached at %v in it: if these are two networks, "+
					"packets go to either; renumber one of them, or advertise it from one site", c.name(m.ID), subnet, m.Record.Endpoints[inside]))
			}
		}
	}
	return texts
}

// attachedTo reports whether an interface of this host has an address in a network.
func (c *Core) attachedTo(subnet netip.Prefix) bool {
	return slices.ContainsFunc(c.host.Addresses, func(a routeguard.Address) bool { return subnet.Contains(a.Addr()) })
}

// warnOfOverlap says that this host's own networks have addresses of the overlay.
func (c *Core) warnOfOverlap() {
	var texts []string
	for _, a := range c.host.OnOverlay(c.overlayPrefixes()...) {
		n := c.cfg.Network
		texts = append(texts, fmt.Sprintf("the network %v of this host's interface %s overlaps the overlay's addresses %v: nodes in it are not "+
			"reached directly, and members with its addresses not at all; renumber it, or make the overlay anew with another prefix (overlayd init --prefix)",
			a.Masked(), a.Interface, n.Prefix))
	}
	c.warn("overlap", texts)
}

// unusable says that a peer publishes only endpoints that cannot be used, and why; empty if it does not.
func (c *Core) unusable(p *peer) string {
	list := p.member.Record.Endpoints
	for _, e := range list {
		if !c.onOverlay(e.Addr()) {
			return ""
		}
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("its only endpoint %v has an address of the overlay itself (%v): renumber that network, or make the overlay anew "+
		"with another prefix (overlayd init --prefix)", list[0], c.cfg.Network.Prefix)
}
