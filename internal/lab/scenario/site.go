package scenario

import (
	"fmt"
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Bridge is a bridge of a site's host, with the host's address on it and something else plugged in.
type Bridge struct {
	Device string
	Prefix netip.Prefix // the host's address, and the network
}

// equipment is what a site has: what its own keys say, else the scenario's defaults, else what sites have in the world.
type equipment struct {
	IPv4, IPv6 *bool
	LAN        *bool
	Docker     *int
}

// keys are those of a site and of defaults.
func (e *equipment) keys() fields {
	return fields{
		"ipv4":   intoNew(&e.IPv4, parseBool),
		"ipv6":   intoNew(&e.IPv6, parseBool),
		"lan":    intoNew(&e.LAN, parseBool),
		"docker": intoNew(&e.Docker, parseBridges),
	}
}

// first is the first value that there is, or the default.
func first[T any](fallback T, values ...*T) T {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return fallback
}

// equip gives every site what it has.
func (s *Scenario) equip(root *yaml.Node) error {
	d := s.defaults
	for i := range s.Sites {
		site := &s.Sites[i]
		own := site.equipment
		if !first(true, own.IPv4, d.IPv4) {
			site.Address = netip.Addr{}
		}
		if first(true, own.IPv6, d.IPv6) {
			site.Address6 = defaultAddress6(i)
		}
		if !site.Address.IsValid() && !site.Address6.IsValid() {
			return errorAt(root, "the site %s has neither IPv4 nor IPv6", site.Name)
		}
		if first(true, own.LAN, d.LAN) && s.LANOf(site.Name) == nil {
			site.Bridges = append(site.Bridges, Bridge{"br-lan", lanPrefix})
		}
		for n := range first(1, own.Docker, d.Docker) {
			site.Bridges = append(site.Bridges, dockerBridge(n))
		}
	}
	return nil
}

// lanPrefix is the address of a site's host on the LAN behind it, which is the same everywhere, as with routers that
// nobody has configured.
var lanPrefix = netip.MustParsePrefix("192.168.0.1/24")

// maxDocker bounds the Docker bridges of a host: the networks that Docker takes first are 172.17.0.0/16 to 172.31.0.0/16.
const maxDocker = 15

// dockerBridge is the bridge that Docker makes by default, or for another network.
func dockerBridge(n int) Bridge {
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(17 + n), 0, 1}), 16)
	if n == 0 {
		return Bridge{"docker0", prefix}
	}
	return Bridge{"br-" + strconv.Itoa(n), prefix}
}

func parseBridges(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > maxDocker {
		return 0, fmt.Errorf("%q is not a number of Docker bridges, from 0 to %d", s, maxDocker)
	}
	return v, nil
}

// defaultAddress is the IPv4 address of the uplink of a site that does not say, by its number from 0.
func defaultAddress(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(number + 1)})
}

// defaultAddress6 is its IPv6 address; every site has a network of its own.
func defaultAddress6(number int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 7: byte(number + 1), 15: 2})
}

// Router6 is the address of the router inside the IPv6 network of a site behind one.
func (s Site) Router6() netip.Addr {
	a := s.Address6.As16()
	a[15] = 1
	return netip.AddrFrom16(a)
}

// Addresses are those of the site's uplink, IPv4 first. Behind a router that masquerades the IPv6 address is the host's.
func (s Site) Addresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range []netip.Addr{s.Address, s.Address6} {
		if a.IsValid() {
			all = append(all, a)
		}
	}
	return all
}

// Moved is the site with the next addresses of its uplink.
func (s Site) Moved() Site {
	if s.Address.IsValid() {
		a := s.Address.As4()
		a[2]++
		s.Address = netip.AddrFrom4(a)
	}
	if s.Address6.IsValid() {
		a := s.Address6.As16()
		a[5]++
		s.Address6 = netip.AddrFrom16(a)
	}
	return s
}
