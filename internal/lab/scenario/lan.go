package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v3"
)

// LAN is a local network with the nodes of some sites, and with hosts that run no overlayd.
type LAN struct {
	Name    string
	Line    int // in the file
	Subnet  netip.Prefix
	Gateway netip.Addr // that the node in charge takes; not valid: the hosts go by way of the first node
	Nodes   []string
	Hosts   []string
}

// Address is the address of a node or a host on the LAN: they are numbered in the order of the file, the nodes first,
// around the gateway's.
func (l LAN) Address(name string) netip.Addr {
	addr := l.Subnet.Masked().Addr()
	for _, have := range slices.Concat(l.Nodes, l.Hosts) {
		if addr = addr.Next(); addr == l.Gateway {
			addr = addr.Next()
		}
		if have == name {
			return addr
		}
	}
	return netip.Addr{}
}

// Exit is the address that the hosts send to what is elsewhere.
func (l LAN) Exit() netip.Addr {
	if l.Gateway.IsValid() {
		return l.Gateway
	}
	return l.Address(l.Nodes[0])
}

// LANOf is the LAN that a node or a host is on; nil if none.
func (s *Scenario) LANOf(name string) *LAN {
	for i, l := range s.LANs {
		if slices.Contains(l.Nodes, name) || slices.Contains(l.Hosts, name) {
			return &s.LANs[i]
		}
	}
	return nil
}

func (s *Scenario) decodeLANs(n *yaml.Node) error {
	return eachKey(n, "lans", func(key string, keyNode, value *yaml.Node) error {
		if _, err := parseName(key); err != nil {
			return errorAt(keyNode, "%v", err)
		}
		l := LAN{Name: key, Line: keyNode.Line}
		errs := []error{fields{
			"subnet":  into(&l.Subnet, parseSubnet),
			"gateway": into(&l.Gateway, parseAddress),
			"nodes":   words(&l.Nodes),
			"hosts":   words(&l.Hosts),
		}.decode(value, "a LAN")}
		for _, needed := range []string{"subnet", "nodes"} {
			if !has(value, needed) {
				errs = append(errs, errorAt(keyNode, "the LAN %s needs %s", key, needed))
			}
		}
		for _, name := range slices.Concat(l.Nodes, l.Hosts) {
			if _, err := parseName(name); err != nil {
				errs = append(errs, errorAt(keyNode, "%v", err))
			}
		}
		s.LANs = append(s.LANs, l)
		return errors.Join(errs...)
	})
}

// The sizes of a LAN: small enough to be private, large enough for some hosts.
const (
	minSubnetBits = 16
	maxSubnetBits = 28
)

func parseSubnet(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Masked() != p || p.Bits() < minSubnetBits || p.Bits() > maxSubnetBits {
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv4 subnet such as 192.168.7.0/24, of %d to %d bits",
			s, minSubnetBits, maxSubnetBits)
	}
	return p, nil
}

// checkLANs finds nodes that are nowhere or in two places.
func (v *validator) checkLANs() {
	names := make(map[string]bool)
	for i, l := range v.s.LANs {
		if len(l.Nodes) == 0 {
			v.fail(l.Line, "the LAN %s needs one of the nodes at least", l.Name)
		}
		for _, other := range v.s.LANs[:i] {
			if other.Subnet.Overlaps(l.Subnet) {
				v.fail(l.Line, "the LANs %s and %s have addresses in common", other.Name, l.Name)
			}
		}
		if l.Gateway.IsValid() && !l.Subnet.Contains(l.Gateway) {
			v.fail(l.Line, "the gateway %v is not in %v", l.Gateway, l.Subnet)
		}
		if room := 1<<(32-l.Subnet.Bits()) - 3; len(l.Nodes)+len(l.Hosts) > room {
			v.fail(l.Line, "%v has no room for so many", l.Subnet)
		}
		for _, name := range l.Nodes {
			v.site(l.Line, name)
		}
		for _, name := range l.Hosts {
			if v.sites[name] {
				v.fail(l.Line, "%s is a site, and cannot be a host as well", name)
			}
			v.hosts[name] = true
		}
		for _, name := range slices.Concat(l.Nodes, l.Hosts) {
			if names[name] {
				v.fail(l.Line, "%s is on a LAN twice", name)
			}
			names[name] = true
		}
	}
}
