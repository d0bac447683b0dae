package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/node"
)

const (
	crowdAdmins = 5
	crowdLoss   = 0.01
	crowdSkew   = 2 * time.Minute
)

// crowd is a large network on a bad underlay: 5 to 65 ms, one datagram in a hundred lost, clocks wrong by minutes.
type crowd struct {
	*Net
	testing.TB
	*Founder
	shape Shape           // how it has fallen apart
	only  map[*Host]*Host // hosts that reach one other only
	moved int
}

func gather(t testing.TB, seed uint64, count int) *crowd {
	c := &crowd{Net: New(seed), TB: t, only: make(map[*Host]*Host)}
	c.Founder = c.Found()
	for i := range count {
		c.Host(fmt.Sprintf("node-%d", i), c.options(i))
	}
	c.Between = func(from, to *Host) Link {
		cut := c.shape.Passes != nil && !c.shape.Passes(from, to)
		if c.only[from] != nil && c.only[from] != to || c.only[to] != nil && c.only[to] != from {
			cut = true
		}
		return Link{Delay: c.distance(from, to), Loss: crowdLoss, Cut: cut}
	}
	c.Introduce(c.hosts...)
	c.Watch()
	for _, h := range c.hosts {
		h.Start()
	}
	return c
}

func (c *crowd) options(i int) Options {
	o := Options{Root: i == 0, Admin: i < crowdAdmins}
	o.Skew = time.Duration(c.rng.Int64N(int64(2*crowdSkew))) - crowdSkew
	return o
}

// live are the hosts that are up and that nobody has put out.
func (c *crowd) live() (list []*Host) {
	for _, h := range c.hosts {
		if h.Core != nil && c.Census.outs[h.ID] == nil && c.only[h] == nil {
			list = append(list, h)
		}
	}
	return list
}

// ordinary is a live host at random that is no admin.
func (c *crowd) ordinary() *Host {
	live := c.live()
	for {
		if h := live[c.rng.IntN(len(live))]; h.index >= crowdAdmins {
			return h
		}
	}
}

// admin is a live admin that reaches h.
func (c *crowd) admin(h *Host) *Host {
	for _, a := range c.hosts[1:crowdAdmins] {
		if a != h && a.Core != nil && (c.shape.Passes == nil || c.shape.Passes(a, h) && c.shape.Passes(h, a)) {
			return a
		}
	}
	return nil
}

// agreed reports whether all live hosts know the same.
func (c *crowd) agreed() bool {
	live := c.live()
	return !slices.ContainsFunc(live, func(h *Host) bool {
		return h.Core.Members().Digest() != live[0].Core.Members().Digest()
	})
}

// until lets time pass until something holds, and says how long it took; it gives up at the limit.
func (c *crowd) until(limit time.Duration, holds func() bool) (time.Duration, bool) {
	begin := c.Now()
	for !holds() {
		if c.Now()-begin >= limit {
			return c.Now() - begin, false
		}
		c.Run(20 * time.Millisecond)
	}
	return c.Now() - begin, true
}

// settle lets time pass until all know the same.
func (c *crowd) settle(limit time.Duration, what string) {
	c.Helper()
	took, ok := c.until(limit, c.agreed)
	if !ok {
		c.differ()
		c.Errorf("seed %d: %s: the sets still differ after %v", c.Seed, what, took)
		return
	}
	c.Logf("%s: all know the same after %v", what, took)
}

// differ logs what the sets that differ are.
func (c *crowd) differ() {
	count := make(map[uint64]int)
	for _, h := range c.live() {
		count[h.Core.Members().Digest()]++
	}
	for _, h := range c.live() {
		if count[h.Core.Members().Digest()] < 3 {
			c.Logf("%s stands alone", c.describe(h))
		}
	}
	c.Logf("%d different sets", len(count))
}

// news is something that everybody is to learn.
type news struct {
	what  string
	begin time.Duration
	known func(h *Host) bool
	times []time.Duration // for each host that learned it
	wait  []*Host
}

// tell begins to watch how news spreads among those who are live now and reached by from.
func (c *crowd) tell(what string, from *Host, known func(h *Host) bool) *news {
	n := &news{what: what, begin: c.Now(), known: known}
	for _, h := range c.live() {
		if c.shape.Passes == nil || c.shape.Whole || c.shape.Passes(from, h) && c.shape.Passes(h, from) {
			n.wait = append(n.wait, h)
		}
	}
	c.Every(10*time.Millisecond, func() bool {
		n.wait = slices.DeleteFunc(n.wait, func(h *Host) bool {
			if h.Core == nil || c.Census.outs[h.ID] != nil {
				return true
			}
			if known(h) {
				n.times = append(n.times, c.Now()-n.begin)
				return true
			}
			return false
		})
		return len(n.wait) > 0
	})
	return n
}

// spread is how long something took to reach shares of those who were to learn it. What has not reached somebody has not
// ended.
type spread struct{ half, most, all time.Duration }

func (n *news) spread() (s spread, ended bool) {
	if len(n.times) == 0 {
		return s, false
	}
	at := func(share float64) time.Duration {
		i := int(share*float64(len(n.times)+len(n.wait))) - 1
		if i >= len(n.times) {
			return time.Hour
		}
		return n.times[max(i, 0)]
	}
	return spread{at(0.5), at(0.99), at(1)}, len(n.wait) == 0
}

// within holds that news has reached 99% and, unless that is zero, all of those who were to learn it in time.
func (c *crowd) within(most, all time.Duration, list ...*news) {
	c.Helper()
	for _, n := range list {
		s, ended := n.spread()
		c.Logf("%s: half after %v, 99%% after %v, all %d after %v", n.what, s.half, s.most, len(n.times), s.all)
		if s.most > most || all > 0 && (s.all > all || !ended) {
			c.Errorf("seed %d: %s: 99%% after %v, all after %v, unknown to %d: %v", c.Seed, n.what, s.most, s.all, len(n.wait), c.describeSome(n.wait))
		}
	}
}

// describe tells how a host stands in the network.
func (c *crowd) describe(h *Host) string {
	met, mutual := 0, 0
	for _, other := range c.hosts {
		if h.Core.Met(other.ID) {
			met++
			if other.Core != nil && other.Core.Met(h.ID) {
				mutual++
			}
		}
	}
	picked, others := h.Core.Contacts()
	text := fmt.Sprintf("%s (%d picked and %d other contacts, %d met, %d mutually)", h.Name, picked, others, met, mutual)
	if met == 0 {
		for _, p := range h.Core.Paths(h.now()) {
			for _, k := range p.Candidates {
				text += fmt.Sprintf("; %s at %s %s", p.Peer, k.Endpoint, k.State)
			}
		}
	}
	return text
}

// describeSome is describe for the first few.
func (c *crowd) describeSome(hosts []*Host) (list []string) {
	for _, h := range hosts[:min(len(hosts), 5)] {
		list = append(list, c.describe(h))
	}
	return list
}

// revoke puts a host out at an admin.
func (c *crowd) revoke(admin, target *Host) *news {
	admin.Do(func(core *node.Core, now time.Time) error { return core.Revoke(now, target.ID, false) })
	return c.tell(fmt.Sprintf("%s revoked by %s", target.Name, admin.Name), admin, func(h *Host) bool {
		_, out := h.Core.Members().Revoked(target.ID)
		return out
	})
}

// move gives a host another address.
func (c *crowd) move(h *Host) *news {
	c.moved++
	h.Move(netip.AddrFrom4([4]byte{203, 0, byte(100 + c.moved>>8), byte(c.moved)}))
	return c.tell(h.Name+" moved", h, func(other *Host) bool {
		m, ok := other.Core.Members().Get(h.ID)
		return ok && slices.Contains(m.Record.Endpoints, h.address)
	})
}

// grant lets a host advertise a network.
func (c *crowd) grant(admin, target *Host) *news {
	c.moved++
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(c.moved), 0}), 24)
	admin.Do(func(core *node.Core, now time.Time) error { return core.SetSubnet(now, target.ID, subnet, true) })
	return c.tell(subnet.String()+" granted to "+target.Name, admin, func(h *Host) bool {
		m, ok := h.Core.Members().Get(target.ID)
		return ok && slices.Contains(m.Certificate.Subnets, subnet)
	})
}

// invite makes a token for many.
func (c *crowd) invite(admin *Host) (token string) {
	admin.Do(func(core *node.Core, now time.Time) (err error) {
		token, err = core.Invite(now, member.Offer{TTL: 24 * time.Hour, Uses: 100}, "")
		return err
	})
	return token
}
