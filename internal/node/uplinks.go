package node

import (
	"maps"
	"net/netip"
	"time"

	"overlayd/pathselect"
)

// uplinks are the interfaces by which this host sends to underlay addresses, as far as it was asked: paths that leave by
// one interface fail together, and users may give each a price.
type uplinks map[netip.Addr]uplink

type uplink struct {
	name  pathselect.Uplink // empty: not known yet, or no route
	asked time.Time
}

const (
	maxUplinks    = 512              // addresses that are kept
	uplinkHolds   = 10 * time.Second // until the host is asked again
	uplinkForgets = time.Minute
)

// uplinkOf is the uplink of a path, empty as long as it is not known. The host is asked for those in use.
func (c *Core) uplinkOf(now time.Time, p *peer, q *path) pathselect.Uplink {
	to := q.fwd.Hop.Addr.Addr()
	u := c.uplinks[to]
	if p.use.level != active || !to.IsValid() || !u.asked.IsZero() && now.Sub(u.asked) < uplinkHolds {
		return u.name
	}
	if u.asked.IsZero() && len(c.uplinks) >= maxUplinks {
		maps.DeleteFunc(c.uplinks, func(_ netip.Addr, u uplink) bool { return now.Sub(u.asked) > uplinkForgets })
		if len(c.uplinks) >= maxUplinks {
			return ""
		}
	}
	u.asked = now
	c.uplinks[to] = u
	c.emit(FindUplink{To: to})
	return u.name
}

// foundUplink takes what the host says.
func (c *Core) foundUplink(in UplinkFound) {
	if u, asked := c.uplinks[in.To]; asked {
		u.name = pathselect.Uplink(in.Name)
		c.uplinks[in.To] = u
	}
}

// askUplinksAgain is due when the host's network has changed. What was known holds until it answers.
func (c *Core) askUplinksAgain() {
	for to, u := range c.uplinks {
		u.asked = u.asked.Add(-uplinkHolds)
		c.uplinks[to] = u
	}
}
