package tunnel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
)

// registry holds the peers that the device has. The data path reads an immutable view of it.
type registry struct {
	view atomic.Pointer[view]

	mu     sync.Mutex // guards what follows, and the order of changes to the device
	peers  map[wire.NodeID]*peer
	owners map[netip.Prefix]*peer
}

// view is a snapshot of the registry; it is never changed.
type view struct {
	peers map[wire.NodeID]*peer
	hosts map[netip.Addr]*peer
	nets  []subnet // the longest first
}

type subnet struct {
	prefix netip.Prefix
	peer   *peer
}

// lookup finds the peer that packets to an address go to, as wireguard-go does; nil if there is none.
func (v *view) lookup(to netip.Addr) *peer {
	if p, ok := v.hosts[to]; ok {
		return p
	}
	for _, n := range v.nets {
		if n.prefix.Contains(to) {
			return n.peer
		}
	}
	return nil
}

func (r *registry) init() {
	r.peers = make(map[wire.NodeID]*peer)
	r.owners = make(map[netip.Prefix]*peer)
	r.publish()
}

func (r *registry) publish() {
	v := &view{peers: maps.Clone(r.peers), hosts: make(map[netip.Addr]*peer)}
	for prefix, p := range r.owners {
		if prefix.IsSingleIP() {
			v.hosts[prefix.Addr()] = p
		} else {
			v.nets = append(v.nets, subnet{prefix, p})
		}
	}
	slices.SortFunc(v.nets, func(a, b subnet) int { return b.prefix.Bits() - a.prefix.Bits() })
	r.view.Store(v)
}

func (r *registry) stopTimers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		p.handshake.stop()
	}
}

// AddPeer makes a peer known to WireGuard, or changes the addresses that it may use if it is known. A prefix belongs to
// one peer; the last one to claim it has it.
func (p *Plane) AddPeer(id wire.NodeID, public [32]byte, allowed []netip.Prefix) error {
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	to, known := r.peers[id]
	if known && to.public != public {
		return fmt.Errorf("add peer %s: it is known with another key", id.Short())
	}
	if !known {
		to = newPeer(id, public)
		r.peers[id] = to
	}
	masked := make([]netip.Prefix, len(allowed))
	for i, prefix := range allowed {
		masked[i] = prefix.Masked()
	}
	var config strings.Builder
	fmt.Fprintf(&config, "public_key=%s\n", hex.EncodeToString(public[:]))
	if !known {
		fmt.Fprintf(&config, "endpoint=%s\n", id)
	}
	for _, prefix := range to.allowed {
		if !slices.Contains(masked, prefix) && r.owners[prefix] == to {
			fmt.Fprintf(&config, "allowed_ip=-%s\n", prefix)
			delete(r.owners, prefix)
		}
	}
	for _, prefix := range masked {
		if r.owners[prefix] != to {
			fmt.Fprintf(&config, "allowed_ip=%s\n", prefix)
			r.owners[prefix] = to
		}
	}
	to.allowed = masked
	r.publish() // before the device calls ParseEndpoint
	if err := p.device.IpcSet(config.String()); err != nil {
		r.forget(to)
		p.device.RemovePeer(device.NoisePublicKey(public))
		return fmt.Errorf("add peer %s: %w", id.Short(), err)
	}
	return nil
}

// RemovePeer makes WireGuard forget a peer and its session. It is no error if the peer is not known.
func (p *Plane) RemovePeer(id wire.NodeID) error {
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	to, known := r.peers[id]
	if !known {
		return nil
	}
	r.forget(to)
	p.device.RemovePeer(device.NoisePublicKey(to.public))
	p.waiting.Add(-to.handshake.stop())
	return nil
}

func (r *registry) forget(to *peer) {
	delete(r.peers, to.id)
	maps.DeleteFunc(r.owners, func(_ netip.Prefix, owner *peer) bool { return owner == to })
	r.publish()
}

var errUnknownPeer = errors.New("endpoint names no peer")

// byName finds the peer of an endpoint= line.
func (r *registry) byName(name string) (*peer, error) {
	id, err := wire.ParseNodeID(name)
	if err != nil {
		return nil, err
	}
	to, ok := r.view.Load().peers[id]
	if !ok {
		return nil, errUnknownPeer
	}
	return to, nil
}
