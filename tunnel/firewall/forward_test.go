package firewall_test

import (
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"overlayd/tunnel/firewall"
)

func TestChainsThatDropWhatIsForwardedAreFound(t *testing.T) {
	h := newHosts(t)
	drops := func() (list []string) {
		h.Helper()
		h.must(h.host.Do(func() (err error) {
			list, err = firewall.ForwardDrops(device)
			return err
		}))
		return list
	}
	change := func(f func(c *nftables.Conn)) {
		h.Helper()
		h.must(h.host.Do(func() error {
			c, err := nftables.New()
			if err == nil {
				f(c)
				err = c.Flush()
			}
			return err
		}))
	}
	h.protect()
	if list := drops(); len(list) > 0 {
		t.Fatalf("found %q though there is none", list)
	}
	table := &nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4}
	drop := nftables.ChainPolicyDrop
	forward := &nftables.Chain{
		Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter, Policy: &drop,
	}
	user := &nftables.Chain{Name: "DOCKER-USER", Table: table}
	rule := func(chain *nftables.Chain, name string) *nftables.Rule {
		return &nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(name)},
			&expr.Verdict{Kind: expr.VerdictAccept},
		}}
	}
	change(func(c *nftables.Conn) {
		c.AddTable(table)
		c.AddChain(forward)
		c.AddChain(user)
		c.AddRule(rule(user, "docker0\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	})
	if list := drops(); len(list) != 1 || !strings.Contains(list[0], "FORWARD of table ip filter") {
		t.Errorf("found %q", list)
	}
	for _, name := range []string{device + "\x00\x00\x00\x00\x00\x00\x00\x00", "over"} {
		change(func(c *nftables.Conn) {
			c.FlushChain(user)
			c.AddRule(rule(user, name))
		})
		if list := drops(); len(list) > 0 {
			t.Errorf("found %q though a rule names %q", list, name)
		}
	}
}
