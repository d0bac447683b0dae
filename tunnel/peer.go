package tunnel

import (
	"net/netip"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

// peer is what the data plane keeps of a peer that wireguard-go has, for as long as it has it. It is the endpoint that
// wireguard-go holds for it: which path a packet takes is looked up in the forwarding table every time. It is also the
// endpoint of what came from it in a circuit, where the source address would be the relay's.
type peer struct {
	*registration

	session   session
	woken     atomic.Uint64 // wire.Stamp of the last wake; zero: none yet
	handshake handshake
}

var _ conn.Endpoint = (*peer)(nil)

func newPeer(reg *registration) *peer {
	return &peer{registration: reg, session: session{room: make(chan struct{}, 1)}}
}

func (p *peer) ClearSrc()           {}
func (p *peer) SrcToString() string { return "" }
func (p *peer) SrcIP() netip.Addr   { return netip.Addr{} }

// DstToString is the node identifier; ParseEndpoint reads it.
func (p *peer) DstToString() string { return p.id.String() }

// DstToBytes goes into cookies.
func (p *peer) DstToBytes() []byte { return p.id[:] }

// DstIP is what the rate limit of handshakes goes by: an address of its own for each peer.
func (p *peer) DstIP() netip.Addr { return netip.AddrFrom16(p.id) }

// source is the endpoint of what came directly from an underlay address.
type source struct {
	addr   netip.AddrPort
	socket uint8
}

var _ conn.Endpoint = (*source)(nil)

func (s *source) ClearSrc()           {}
func (s *source) SrcToString() string { return "" }
func (s *source) SrcIP() netip.Addr   { return netip.Addr{} }
func (s *source) DstToString() string { return s.addr.String() }
func (s *source) DstIP() netip.Addr   { return s.addr.Addr() }

func (s *source) DstToBytes() []byte {
	b, _ := s.addr.MarshalBinary() // never fails
	return b
}
