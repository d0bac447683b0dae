package member

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Which prefixes a network may have, and which networks a node may have behind it. All rules on prefixes stand here.

// block is a range of addresses that means the same to every host (RFC 6890).
type block struct {
	prefix netip.Prefix
	name   string
}

// specialBlocks are the ranges in which no address leads to another host by a route.
func specialBlocks() []block {
	return []block{
		{netip.MustParsePrefix("0.0.0.0/8"), "\"this network\""},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
		{netip.MustParsePrefix("::/128"), "unspecified"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
	}
}

// internalBlocks are the IPv4 ranges that are not assigned to anybody on the public internet.
func internalBlocks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("198.18.0.0/15"),
	}
}

// special is the first special range that p shares an address with.
func special(p netip.Prefix) (block, bool) {
	for _, b := range specialBlocks() {
		if b.prefix.Overlaps(p) {
			return b, true
		}
	}
	return block{}, false
}

// ValidPrefix says why p cannot be a network's IPv4 prefix; nil if it can.
func ValidPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid() || !p.Addr().Is4() || p != p.Masked():
		return fmt.Errorf("%w: the network's prefix %s is not an IPv4 prefix such as %s", ErrMalformed, p, DefaultPrefix)
	case p.Bits() < 8 || p.Bits() > 29:
		return fmt.Errorf("%w: the network's prefix %s must have between 8 and 29 bits", ErrMalformed, p)
	}
	if b, ok := special(p); ok {
		return fmt.Errorf("%w: the network's prefix %s overlaps %s, the %s addresses, which no node can have: use a private one such as %s",
			ErrMalformed, p, b.prefix, b.name, DefaultPrefix)
	}
	for _, b := range internalBlocks() {
		if b.Bits() <= p.Bits() && b.Contains(p.Addr()) {
			return nil
		}
	}
	return fmt.Errorf("%w: the network's prefix %s has public addresses, whose owners the nodes could not reach any more: use a private one such as %s",
		ErrMalformed, p, DefaultPrefix)
}

// errNoSubnet is what cannot be read as a network.
var errNoSubnet = errors.New("this is not a network: write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64")

// CheckSubnet says in a sentence why no node may advertise p as a network behind it; nil if one may.
func CheckSubnet(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errNoSubnet
	case p.Addr().Is4In6():
		return fmt.Errorf("%s: %w", p, errNoSubnet)
	case p.Bits() == 0:
		return fmt.Errorf("%v is everything: name the networks behind the node, such as 192.168.7.0/24", p)
	case p != p.Masked():
		return fmt.Errorf("%v has bits beyond its length: write %v", p, p.Masked())
	}
	if b, ok := special(p); ok {
		return fmt.Errorf("%v overlaps %v, the %s addresses, which no other node can use: leave them out", p, b.prefix, b.name)
	}
	if least := minSubnetBits(p.Addr()); p.Bits() < least {
		return fmt.Errorf("%v is too large: a network behind a node has a length of at least /%d", p, least)
	}
	return nil
}

// minSubnetBits is the length below which a prefix can only be meant as a part of a default route.
func minSubnetBits(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 16
}

// CheckSubnet says in a sentence why no node of this network may advertise p; nil if one may. What p shares with the
// network's own addresses belongs to the members that have them, not to a node that advertises p.
func (n *Network) CheckSubnet(p netip.Prefix) error {
	if err := CheckSubnet(p); err != nil {
		return err
	}
	for _, own := range []netip.Prefix{n.Prefix, n.Prefix6} {
		if own.Overlaps(p) {
			return fmt.Errorf("%s overlaps %s, the addresses of the network %s itself: advertise only addresses outside it", p, own, n.Name)
		}
	}
	return nil
}

// Attached is a network that this host is attached to by one of its interfaces.
type Attached struct {
	Interface string
	Prefix    netip.Prefix // masked
}

// Overlapping are the attached networks that share addresses with p.
func Overlapping(p netip.Prefix, attached []Attached) (list []Attached) {
	for _, a := range attached {
		if a.Prefix.Overlaps(p) {
			list = append(list, a)
		}
	}
	return list
}

// DescribeAttached names attached networks for a sentence: 10.71.5.0/24 (eth0), 10.71.6.0/24 (eth1).
func DescribeAttached(list []Attached) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = fmt.Sprintf("%s (%s)", a.Prefix, a.Interface)
	}
	return strings.Join(words, ", ")
}

// FreePrefix is the first prefix for a new network that overlaps no attached one: DefaultPrefix, else the next /16 of
// 10.0.0.0/8 after it, of 172.16.0.0/12 or of 100.64.0.0/10. It reports false if all are taken.
func FreePrefix(attached []Attached) (netip.Prefix, bool) {
	first := netip.MustParsePrefix(DefaultPrefix).Addr().As4()
	for _, try := range []struct {
		a, b byte
		n    int
	}{{first[0], first[1], 256}, {172, 16, 16}, {100, 64, 64}} {
		for i := range try.n {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{try.a, try.b + byte(i), 0, 0}), 16)
			if len(Overlapping(p, attached)) == 0 {
				return p, true
			}
		}
	}
	return netip.Prefix{}, false
}
