package firewall

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ForwardDrops lists the chains of the host's packet filter that drop what is forwarded unless a rule accepts it, as Docker
// sets it, and that have no rule which names the interface. Such a rule is taken for a person's, who has seen to it. Chains
// that only the older iptables knows are not seen.
func ForwardDrops(device string) (list []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list the chains of nftables: %w", err)
	}
	for _, c := range chains {
		if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop {
			continue
		}
		if f := c.Table.Family; f != nftables.TableFamilyINet && f != nftables.TableFamilyIPv4 && f != nftables.TableFamilyIPv6 {
			continue
		}
		named := false
		for _, other := range chains {
			if other.Table.Name == c.Table.Name && other.Table.Family == c.Table.Family {
				rules, err := conn.GetRules(other.Table, other)
				named = named || err == nil && anyNames(rules, device)
			}
		}
		if !named {
			list = append(list, fmt.Sprintf("%s of table %s %s", c.Name, familyName(c.Table.Family), c.Table.Name))
		}
	}
	return list, nil
}

// anyNames reports whether a rule compares the name of an interface with the given one, or with how it begins.
func anyNames(rules []*nftables.Rule, device string) bool {
	for _, r := range rules {
		isName := false
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Meta:
				isName = e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME
			case *expr.Cmp:
				text := string(bytes.TrimRight(e.Data, "\x00"))
				if isName && text != "" && (text == device || len(text) == len(e.Data) && strings.HasPrefix(device, text)) {
					return true
				}
			}
		}
	}
	return false
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	default:
		return "inet"
	}
}
