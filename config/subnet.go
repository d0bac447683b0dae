package config

import (
	"errors"
	"fmt"
	"net/netip"
)

// MaxSubnets bounds the networks that one node may advertise.
const MaxSubnets = 8

// errNoSubnet is what is no network that a node can advertise at all.
var errNoSubnet = errors.New("this is no network: write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64")

// ParseSubnet reads a network that a node may advertise. Its errors are sentences for whoever wrote the text.
func ParseSubnet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network: write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64", text)
	}
	return p, CheckSubnet(p)
}

// CheckSubnet says in a sentence why a node may not advertise p, or nil if it may.
func CheckSubnet(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p.Addr().Is4In6():
		return errNoSubnet
	case p.Bits() == 0:
		return fmt.Errorf("%v is everything: name the networks behind the node, such as 192.168.7.0/24", p)
	case p != p.Masked():
		return fmt.Errorf("%v has bits beyond its length: write %v", p, p.Masked())
	}
	for _, s := range specialNets() {
		if s.net.Overlaps(p) {
			return fmt.Errorf("%v overlaps %v, the %s addresses, which no other node can use: leave them out", p, s.net, s.name)
		}
	}
	return nil
}

type specialNet struct {
	net  netip.Prefix
	name string
}

// specialNets are networks that mean something else on every link or host (RFC 6890).
func specialNets() []specialNet {
	return []specialNet{
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
	}
}
