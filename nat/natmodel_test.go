package nat

import (
	"net/netip"
	"time"
)

// behaviour of a NAT towards the far side of a mapping, as RFC 4787 names it, for mapping and for filtering.
type behaviour int

const (
	independent      behaviour = iota // of the endpoint
	addressDependent                  // on its address
	portDependent                     // on its address and port
)

func (b behaviour) String() string {
	return [...]string{"endpoint-independent", "address-dependent", "address-and-port-dependent"}[b]
}

// part is what a NAT of this behaviour looks at in a remote endpoint.
func (b behaviour) part(remote netip.AddrPort) netip.AddrPort {
	switch b {
	case independent:
		return netip.AddrPort{}
	case addressDependent:
		return netip.AddrPortFrom(remote.Addr(), 0)
	default:
		return remote
	}
}

// box is a NAT with one public address: a model of mapping × filtering × lifetime, without hairpinning.
type box struct {
	public             netip.Addr
	mapping, filtering behaviour
	lifetime           time.Duration // of a mapping and of a filter entry, from the last packet out
	nextPort           uint16
	mappings           map[mapKey]*mapping
}

type mapKey struct{ inside, remote netip.AddrPort }

type mapping struct {
	inside  netip.AddrPort
	outside netip.AddrPort
	used    time.Time
	allowed map[netip.AddrPort]time.Time
}

func newBox(public string, mappingOf, filtering behaviour) *box {
	return &box{
		public: netip.MustParseAddr(public), mapping: mappingOf, filtering: filtering, lifetime: 30 * time.Second,
		nextPort: 40000, mappings: make(map[mapKey]*mapping),
	}
}

// outbound is the source that the rest of the world sees.
func (b *box) outbound(now time.Time, inside, remote netip.AddrPort) netip.AddrPort {
	key := mapKey{inside, b.mapping.part(remote)}
	m := b.mappings[key]
	if m == nil || now.Sub(m.used) > b.lifetime {
		b.nextPort++
		m = &mapping{
			inside: inside, outside: netip.AddrPortFrom(b.public, b.nextPort), allowed: make(map[netip.AddrPort]time.Time),
		}
		b.mappings[key] = m
	}
	m.used = now
	m.allowed[b.filtering.part(remote)] = now
	return m.outside
}

// inbound is whom a packet from outside goes to, if the NAT lets it in.
func (b *box) inbound(now time.Time, remote, outside netip.AddrPort) (inside netip.AddrPort, ok bool) {
	for _, m := range b.mappings {
		if m.outside != outside || now.Sub(m.used) > b.lifetime {
			continue
		}
		at, known := m.allowed[b.filtering.part(remote)]
		return m.inside, known && now.Sub(at) <= b.lifetime
	}
	return netip.AddrPort{}, false
}
