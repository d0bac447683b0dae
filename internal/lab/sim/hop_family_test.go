package sim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/lab/wan"
)

const belmontSite, cambridgeSite, bostonSite = wan.Site(0), wan.Site(1), wan.Site(2)

// twoFamilies is Belmont, Cambridge and Boston with the delays of triangle, each with addresses of both families. Belmont and
// Boston are behind routers.
func twoFamilies(seed uint64) (n *Net, u *Underlay, belmont, boston *Host) {
	n = New(seed)
	f := n.Found()
	var hosts []*Host
	var addresses [][]netip.Addr
	for i, name := range []string{"belmont", "cambridge", "boston"} {
		four := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})
		six := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(1 + i)})
		hosts = append(hosts, f.Host(name, Options{Address: four, Address6: six, NAT: name != "cambridge"}))
		addresses = append(addresses, []netip.Addr{four, six})
	}
	u = n.Over(addresses...)
	delay := func(a, b wan.Site, d time.Duration) {
		link := wan.Link{Delay: d, Jitter: time.Millisecond}
		u.SetLink(a, b, link)
		u.SetLink(b, a, link)
	}
	delay(belmontSite, bostonSite, 20*time.Millisecond)
	delay(belmontSite, cambridgeSite, 10*time.Millisecond)
	delay(cambridgeSite, bostonSite, 12500*time.Microsecond)
	f.Introduce(hosts...)
	for _, h := range hosts {
		h.Start()
	}
	return n, u, hosts[0], hosts[2]
}

// change applies a change to what one site sends another.
func (u *Underlay) change(from, to wan.Site, change func(*wan.Link)) {
	link, _ := u.Link(from, to)
	change(&link)
	u.SetLink(from, to, link)
}

// A hop of a relayed path is one of two direct paths, one for each address family. When one family fails, the relayed path
// goes on over the other one: while it is in use, and while it stands by for direct paths that are cut later.
func TestARelayedPathFollowsTheFamilyThatWorks(t *testing.T) {
	cut := func(l *wan.Link) { l.Cut = true }
	noIPv6 := func(l *wan.Link) { l.Drop[1].Contents = ^wan.Contents(0) }
	both := func(a, b wan.Site) [][2]wan.Site { return [][2]wan.Site{{a, b}, {b, a}} }
	direct := both(belmontSite, bostonSite)
	hops := slices.Concat(both(belmontSite, cambridgeSite), both(cambridgeSite, bostonSite))
	for _, c := range []struct {
		name    string
		relayed bool          // before IPv6 fails; otherwise the direct paths are cut a while after
		wait    time.Duration // that while
		fails   [][2]wan.Site // links that lose IPv6
	}{
		{name: "relayed, all links", relayed: true, fails: hops},
		{name: "relayed, the first hop", relayed: true, fails: both(belmontSite, cambridgeSite)},
		{name: "relayed, to the relay only", relayed: true, fails: [][2]wan.Site{{belmontSite, cambridgeSite}}},
		{name: "relayed, from the relay only", relayed: true, fails: [][2]wan.Site{{cambridgeSite, belmontSite}}},
		{name: "standing by for 300 ms", wait: 300 * time.Millisecond, fails: slices.Concat(hops, direct)},
		{name: "standing by for 1 s", wait: time.Second, fails: slices.Concat(hops, direct)},
		{name: "standing by for 4 s", wait: 4 * time.Second, fails: slices.Concat(hops, direct)},
		{name: "standing by, the second hop", wait: 2 * time.Second, fails: both(cambridgeSite, bostonSite)},
	} {
		var outages []time.Duration
		for seed := range uint64(seeds) {
			n, u, belmont, boston := twoFamilies(seed)
			change := func(links [][2]wan.Site, how func(*wan.Link)) {
				for _, l := range links {
					u.change(l[0], l[1], how)
				}
			}
			n.Run(2 * time.Second)
			there, back := stream(n, belmont, boston, 10*time.Millisecond), stream(n, boston, belmont, 10*time.Millisecond)
			n.Run(10*time.Second + time.Duration(n.rng.Int64N(int64(time.Second))))
			if c.relayed {
				change(direct, cut)
				n.Run(15*time.Second + time.Duration(n.rng.Int64N(int64(time.Second))))
			}
			failed := n.Now()
			change(c.fails, noIPv6)
			n.Run(c.wait)
			change(direct, cut)
			n.Run(10 * time.Second)
			for _, f := range []*flow{there, back} {
				outages = append(outages, f.outage(failed-50*time.Millisecond, n.Now()-time.Second))
			}
		}
		slices.Sort(outages)
		median, most, worst := outages[len(outages)/2], outages[len(outages)*9/10], outages[len(outages)-1]
		t.Logf("%s: outages: median %v, 9 in 10 %v, max %v", c.name, median, most, worst)
		if median > 200*time.Millisecond || most > 500*time.Millisecond || worst > time.Second {
			t.Errorf("%s: outages: median %v, 9 in 10 %v, max %v; want under 200 ms, 500 ms and 1 s", c.name, median, most, worst)
		}
	}
}
