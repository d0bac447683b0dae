package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A network of a thousand lives through changes, joins, crashes and returns. The short form has two hundred nodes.
func TestCrowdLives(t *testing.T) {
	t.Parallel()
	c := gather(t, 1, crowdSize())
	defer c.replay("TestCrowdLives")
	c.Run(8 * time.Second)
	c.settle(2*time.Second, "start")
	c.changes()
	c.joins()
	c.churn()
	c.returns()
}

// It falls apart in every way, lives on, and is one again.
func TestCrowdFallsApart(t *testing.T) {
	t.Parallel()
	c := gather(t, 2, crowdSize())
	defer c.replay("TestCrowdFallsApart")
	c.Run(8 * time.Second)
	for _, shape := range Shapes(c.Seed) {
		c.fallApart(shape)
	}
	c.settle(10*time.Second, "end")
}

// replay says how to see a failure again.
func (c *crowd) replay(test string) {
	if c.Failed() {
		c.Logf("seed %d: OVERLAYD_SIM_NODES=%d go test -count=1 -v -run '^%s$' ./internal/lab/sim", c.Seed, crowdSize(), test)
	}
}

// changes of single members reach the others.
func (c *crowd) changes() {
	var list []*news
	for range 2 {
		list = append(list, c.move(c.ordinary()), c.grant(c.hosts[1], c.ordinary()))
		c.Run(500 * time.Millisecond)
	}
	c.Run(6 * time.Second)
	c.within(5*time.Second, 0, list...)
	list = nil
	for i := range 3 {
		list = append(list, c.revoke(c.hosts[1+i%4], c.ordinary()))
		c.Run(300 * time.Millisecond)
	}
	c.Run(3 * time.Second)
	c.within(2*time.Second, 2*time.Second, list...)
}

const newcomers = 8

// joins of newcomers at the doors of members that are no admins.
func (c *crowd) joins() {
	token := c.invite(c.hosts[2])
	c.Run(3 * time.Second)
	var list []*Host
	for i := range newcomers {
		h := c.Newcomer(fmt.Sprintf("newcomer-%d", i), c.options(crowdAdmins))
		list = append(list, h)
		c.Founder.Join(h, token, c.ordinary())
		c.Run(300 * time.Millisecond)
	}
	begin := c.Now()
	took, _ := c.until(10*time.Second, func() bool {
		return !slices.ContainsFunc(list, (*Host).Joining)
	})
	for _, h := range list {
		if h.Err != nil || h.Core == nil {
			c.Errorf("seed %d: %s did not join: %v", c.Seed, h.Name, h.Err)
		}
	}
	c.Logf("%d newcomers, the last of them in %v after it asked", newcomers, took)
	known, _ := c.until(5*time.Second, func() bool {
		return !slices.ContainsFunc(c.live(), func(h *Host) bool {
			return slices.ContainsFunc(list, func(new *Host) bool {
				_, ok := h.Core.Members().Get(new.ID)
				return !ok && new.Core != nil
			})
		})
	})
	c.Logf("all know all of them %v after the last one asked", c.Now()-begin)
	c.settle(10*time.Second-known, "joins")
}

// churn: hosts crash and come back, half of them with what their disk held seconds ago.
func (c *crowd) churn() {
	crashes := 0
	for range 30 {
		h := c.ordinary()
		h.Kill()
		crashes++
		lost := time.Duration(0)
		if crashes%2 == 0 {
			lost = time.Duration(1+c.rng.IntN(5)) * time.Second
		}
		c.After(time.Duration(100+c.rng.IntN(5000))*time.Millisecond, func() { h.Restart(lost) })
		if crashes%10 == 0 {
			c.move(c.ordinary())
			c.revoke(c.hosts[1+c.rng.IntN(4)], c.ordinary())
		}
		c.Run(200 * time.Millisecond)
	}
	c.Run(5 * time.Second)
	c.settle(10*time.Second, fmt.Sprintf("churn of %d crashes", crashes))
}

// returns: hosts that were off when somebody was put out, who is the first to contact them and knows of nothing.
func (c *crowd) returns() {
	type pair struct{ absent, out, friend *Host }
	var pairs []pair
	var waits []time.Duration
	for range 5 {
		p := pair{absent: c.ordinary()}
		p.absent.Kill()
		p.out = c.ordinary()
		c.only[p.out] = p.absent
		c.Both(p.out, p.absent, func(l *Link) { l.Delay = time.Millisecond })
		pairs = append(pairs, p)
	}
	for i := range pairs {
		pairs[i].friend = c.ordinary() // nobody of those above
	}
	c.Run(time.Second)
	for i, p := range pairs {
		c.revoke(c.hosts[1+i%4], p.out)
	}
	c.Run(5 * time.Second)
	for _, p := range pairs {
		c.Run(time.Second)
		begin, heard := c.Now(), false
		p.absent.Delivered = func(from *Host, _ uint64, sent time.Time) {
			switch {
			case from == p.out && sent.Sub(c.start) >= begin:
				c.Errorf("seed %d: %s takes data from %s %v after its return", c.Seed, p.absent.Name, p.out.Name, c.Now()-begin)
			case from == p.friend && !heard:
				heard = true
				waits = append(waits, c.Now()-begin)
			}
		}
		p.absent.Start()
		c.Every(10*time.Millisecond, func() bool {
			if p.out.Core != nil {
				p.out.Send(p.absent)
			}
			p.friend.Send(p.absent)
			return c.Now()-begin < 5*time.Second
		})
	}
	c.Run(6 * time.Second)
	if len(waits) < len(pairs) {
		c.Errorf("seed %d: of %d nodes that returned %d hear a friend", c.Seed, len(pairs), len(waits))
	}
	slices.Sort(waits)
	c.Logf("nodes that return: a friend's first packet arrives after %v (median), %v (last)", waits[len(waits)/2], waits[len(waits)-1])
	for _, p := range pairs {
		p.out.Kill()
		delete(c.only, p.out)
	}
	c.settle(10*time.Second, "returns")
}

// fallApart cuts the network into a shape for a while, with changes on every side, and heals it.
func (c *crowd) fallApart(shape Shape) {
	c.shape = shape
	c.Run(2 * time.Second)
	var revocations, list []*news
	for range 2 {
		h := c.ordinary()
		if admin := c.admin(h); admin != nil {
			revocations = append(revocations, c.revoke(admin, h))
		}
		h = c.ordinary()
		if admin := c.admin(h); admin != nil {
			list = append(list, c.grant(admin, h))
		}
		list = append(list, c.move(c.ordinary()))
		c.Run(300 * time.Millisecond)
	}
	c.Run(4500 * time.Millisecond)
	c.Logf("%s:", shape.Name)
	c.within(2*time.Second, 5*time.Second, revocations...)
	c.within(5*time.Second, 0, list...)
	c.shape = Shape{}
	c.settle(10*time.Second, "healed: "+shape.Name)
}
