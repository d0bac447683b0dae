package config

import (
	"fmt"
	"net/netip"

	"overlayd/internal/member"
)

// MaxSubnets bounds the networks that one node may advertise.
const MaxSubnets = 8

// ParseSubnet reads a network that a node may advertise. Its errors are sentences for whoever wrote the text.
func ParseSubnet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid network %q: write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64", text)
	}
	return p, CheckSubnet(p)
}

// CheckSubnet says in a sentence why a node may not advertise p, or nil if it may.
func CheckSubnet(p netip.Prefix) error { return member.CheckSubnet(p) }
