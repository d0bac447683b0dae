package member

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"overlayd/internal/wire"
)

// DefaultPrefix is the IPv4 prefix of a network whose founder named none.
const DefaultPrefix = "10.71.0.0/16"

// ErrNoAddress means that every IPv4 address of the network's prefix is taken.
var ErrNoAddress = errors.New("every IPv4 address of the network's prefix is taken")

// Prefix6 is the IPv6 prefix of a network (RFC 4193): fd, then 40 bits of BLAKE2s-256("overlayd ula v1" || network).
func Prefix6(network wire.NetworkID) netip.Prefix {
	var a [16]byte
	a[0] = 0xfd
	copy(a[1:6], hash("overlayd ula v1", network[:]))
	return netip.PrefixFrom(netip.AddrFrom16(a), 48)
}

// Addr6 is the IPv6 address of a node: the network's prefix, then 80 bits of BLAKE2s-256("overlayd address v1" ||
// node).
func Addr6(network wire.NetworkID, node wire.NodeID) netip.Addr {
	a := Prefix6(network).Addr().As16()
	copy(a[6:], hash("overlayd address v1", node[:]))
	return netip.AddrFrom16(a)
}

// usable reports whether a node may have the address a: it lies in p and is neither its first nor its last address.
func usable(p netip.Prefix, a netip.Addr) bool {
	return a.Is4() && p.Contains(a) && a != p.Addr() && p.Contains(a.Next())
}

// lowestFree is the lowest address of p that a node may have and nobody has.
func lowestFree(p netip.Prefix, taken func(netip.Addr) bool) (netip.Addr, error) {
	for a := p.Addr().Next(); usable(p, a); a = a.Next() {
		if !taken(a) {
			return a, nil
		}
	}
	return netip.Addr{}, ErrNoAddress
}

// maxName is the longest name in bytes (RFC 1035, section 2.3.4).
const maxName = 63

// ErrName means that a name is not a lower-case DNS label.
var ErrName = errors.New("a name has 1 to 63 of the characters a-z, 0-9 and -, and neither begins nor ends with -")

// reserved is what the root key is called where a signer has to be named.
const reserved = "root"

// ErrReserved means that a name would be taken for the root key's.
var ErrReserved = errors.New(`the name "root" is kept for the root key: choose another one`)

// ValidName says why name cannot be a node's or a network's; nil if it can.
func ValidName(name string) error {
	if name == reserved {
		return ErrReserved
	}
	if name == "" || len(name) > maxName || name[0] == '-' || name[len(name)-1] == '-' {
		return fmt.Errorf("%q is refused: %w", clip(name), ErrName)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%q is refused: %w", clip(name), ErrName)
		}
	}
	return nil
}

// NameFrom makes a valid name of a host name: its first label in lower case, with a dash for what is not allowed;
// "node" if nothing is left.
func NameFrom(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	name := strings.Map(func(c rune) rune {
		if (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') {
			return c
		}
		return '-'
	}, host)
	name = strings.Trim(name[:min(len(name), maxName)], "-")
	if name == "" || name == reserved {
		return "node"
	}
	return name
}

// clip keeps what a stranger wrote short enough for a message.
func clip(s string) string { return s[:min(len(s), 2*maxName)] }

// encodePrefix is the address, 4 or 16 bytes, and one byte with the number of bits.
func encodePrefix(p netip.Prefix) []byte { return append(p.Addr().AsSlice(), byte(p.Bits())) }

func decodePrefix(b []byte) (netip.Prefix, error) {
	if len(b) != 5 && len(b) != 17 {
		return netip.Prefix{}, fmt.Errorf("%w: prefix", ErrMalformed)
	}
	addr, _ := netip.AddrFromSlice(b[:len(b)-1])
	p := netip.PrefixFrom(addr, int(b[len(b)-1]))
	if !p.IsValid() || p != p.Masked() || addr.Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%w: prefix", ErrMalformed)
	}
	return p, nil
}

func encodePrefixes(list []netip.Prefix) [][]byte {
	var out [][]byte
	for _, p := range list {
		out = append(out, encodePrefix(p))
	}
	return out
}

func decodePrefixes(list [][]byte, limit int) ([]netip.Prefix, error) {
	if len(list) > limit {
		return nil, fmt.Errorf("%w: more than %d subnets", ErrMalformed, limit)
	}
	var out []netip.Prefix
	for _, b := range list {
		p, err := decodePrefix(b)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
