package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
)

// Who is on a LAN with a node learns nothing of its overlay addresses.
func TestTheOverlayAddressIsNotReachedFromTheUnderlay(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	ear := belmont.isHeardBy(boston, soon)
	stranger := &site{service: r.node("stranger", r.machine(9)), at: underlay(9)}
	r.must(r.router.AddRoute("port2", netip.PrefixFrom(boston.ipv4(), 32), boston.at))
	stranger.drum(boston.ipv4())
	time.Sleep(500 * time.Millisecond)
	if h := ear.of(stranger.at); h.n > 0 {
		t.Errorf("%d datagrams got in past the overlay", h.n)
	}
	ear.hears(r.bench, belmont.ipv4(), soon)
	boston.stop()
	r.must(boston.ns.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTables()
		if err == nil && len(tables) > 0 {
			err = fmt.Errorf("left behind: %v", tables[0])
		}
		return err
	}))
}

func TestAPacketFilterThatForwardsNothingIsNamed(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	r.must(belmont.ns.AddAddress("eth0", netip.MustParsePrefix("192.168.7.1/24")))
	belmont.does("subnet", "grant", "belmont", "192.168.7.0/24")
	belmont.stop()
	r.must(belmont.ns.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		drop := nftables.ChainPolicyDrop
		table := c.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4})
		c.AddChain(&nftables.Chain{
			Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
			Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		return c.Flush()
	}))
	belmont.start("--subnets", "192.168.7.0/24")
	r.eventually(soon, func() error {
		text := strings.Join(belmont.status().Warnings, "\n")
		for _, word := range []string{"FORWARD of table ip filter", "iptables -I FORWARD -i " + belmont.device} {
			if !strings.Contains(text, word) {
				return fmt.Errorf("no warning with %q: %q", word, text)
			}
		}
		return nil
	})
}
