package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/config"
	"overlayd/internal/lab/netns"
)

// bridges gives a machine bridges such as Docker makes, each with a container.
func (s *site) bridges(n int) {
	s.Helper()
	containers := s.namespace()
	for i := range n {
		bridge, port := fmt.Sprintf("br-%d", i), fmt.Sprintf("veth%d", i)
		s.must(s.ns.AddBridge(bridge, 1500))
		s.must(netns.Connect(s.ns, port, containers, fmt.Sprintf("eth%d", i), 1500))
		s.must(s.ns.AddPort(bridge, port))
		s.must(s.ns.AddAddress(bridge, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(18 + i), 0, 1}), 16)))
	}
}

// Hosts that run containers all have the same addresses.
func TestNodesOnHostsWithManyBridgesReachEachOther(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont, boston := r.site("belmont"), r.site("boston")
	for _, s := range []*site{belmont, boston} {
		s.bridges(10)
	}
	belmont.start()
	boston.joins(belmont)
	boston.start("--endpoints", "172.18.0.1:51871") // the one that is configured is published
	begin := time.Now()
	r.meet(belmont, boston)
	t.Logf("they reach each other after %v", time.Since(begin))
	for s, want := range map[*site][]netip.AddrPort{
		belmont: {netip.AddrPortFrom(belmont.at, config.DefaultPort)},
		boston:  {netip.MustParseAddrPort("172.18.0.1:51871"), netip.AddrPortFrom(boston.at, config.DefaultPort)},
	} {
		r.eventually(soon, func() error {
			if got := s.status().Endpoints; !slices.Equal(got, want) {
				return fmt.Errorf("%s publishes %v, want %v", s.name, got, want)
			}
			return nil
		})
	}
}

// What one overlay of a host carries, the other one must not carry again.
func TestTwoOverlaysOfAHostStayApart(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	first := r.network("belmont", "boston")
	second := make([]*site, 0, len(first))
	for i, s := range first {
		d := &site{service: r.node(s.name+"-2", s.ns), at: s.at}
		d.device, d.listen = "overlay1", ":51899"
		second = append(second, d)
		if i == 0 {
			r.works(d.here().overlayd("init", "--name", d.name, "--prefix", "10.72.0.0/16", "--state", d.state))
		} else {
			token := second[0].invite(netip.AddrPortFrom(second[0].at, 51899).String())
			r.works(d.join(token))
		}
		d.start()
	}
	r.meet(second...)
	until := time.Now().Add(3 * time.Second)
	for time.Now().Before(until) {
		for _, s := range append(slices.Clone(first), second...) {
			for _, e := range s.status().Endpoints {
				if e.Addr() != s.at {
					t.Fatalf("%s publishes %v", s.name, e)
				}
			}
			for peer, p := range s.paths() {
				for _, c := range p.Candidates {
					at, err := netip.ParseAddrPort(c.Endpoint)
					if err == nil && !netip.MustParsePrefix("10.9.0.0/16").Contains(at.Addr()) {
						t.Fatalf("%s tries %s at %v", s.name, peer, at)
					}
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
