package tunnel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// registry holds the peers that packets may go to and come from. A network has thousands of them, of which wireguard-go
// has only those that are in use: see lifecycle.go. The data path reads an immutable view; the next view shares with the
// last one all that did not change, so that to register a peer costs the same in a large network as in a small one.
type registry struct {
	view atomic.Pointer[view]
	live atomic.Pointer[[]*peer] // those that wireguard-go has, or is just getting; never changed once stored

	// mu guards what follows, and the order of changes to the view and the device. Whoever holds it may wait for
	// wireguard-go to finish what a peer still sends or writes, so nothing may wait for it there; nor where wireguard-go
	// reads and receives, but by raise.
	mu       sync.Mutex
	creating *peer // that wireguard-go is just getting
	closed   bool  // wireguard-go gets no more peers
}

// registration is what is kept of every peer.
type registration struct {
	id     wire.NodeID
	public [32]byte
	own    atomic.Pointer[[]netip.Addr] // its overlay addresses
	live   atomic.Pointer[peer]         // nil: wireguard-go does not have it
	used   atomic.Bool                  // since the last sweep

	initiation, response lastMessage
	replay               replayMemory
	frames               *fwd.Budget // control frames that it may have in the queue

	lastUse wire.Stamp // as far as the sweeps know; guarded by the registry's lock
}

// touch notes that the peer is needed.
func (r *registration) touch() {
	if !r.used.Load() { // mostly it is set: a load spares other processors the cache line
		r.used.Store(true)
	}
}

// view is a snapshot of the registry; it is never changed.
type view struct {
	ids   *bart.Table[*registration] // by identifier, written as an address: the same kind of table serves for both
	addrs *bart.Table[*registration] // by overlay address
}

// peer finds the registration of a node; nil if there is none.
func (v *view) peer(id wire.NodeID) *registration {
	reg, _ := v.ids.Lookup(netip.AddrFrom16(id))
	return reg
}

// owner finds the peer that has an overlay address; nil if there is none.
func (v *view) owner(of netip.Addr) *registration {
	reg, _ := v.addrs.Lookup(of)
	return reg
}

func (v view) withPeer(reg *registration) view {
	v.ids = v.ids.InsertPersist(single(netip.AddrFrom16(reg.id)), reg)
	return v
}

func (v view) withoutPeer(reg *registration) view {
	v.ids = v.ids.DeletePersist(single(netip.AddrFrom16(reg.id)))
	return v
}

func (v view) withOwner(addr netip.Addr, reg *registration) view {
	v.addrs = v.addrs.InsertPersist(single(addr), reg)
	return v
}

func (v view) withoutOwner(addr netip.Addr) view {
	v.addrs = v.addrs.DeletePersist(single(addr))
	return v
}

func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func (r *registry) init() {
	r.view.Store(&view{ids: new(bart.Table[*registration]), addrs: new(bart.Table[*registration])})
	r.live.Store(new([]*peer))
}

// change is what of a new registration the device has to hear, for peers that it has.
type change struct{ lines strings.Builder }

func (c *change) allow(to *peer, addr netip.Addr) { c.allowed(to, "", addr) }
func (c *change) deny(to *peer, addr netip.Addr)  { c.allowed(to, "-", addr) }

func (c *change) allowed(to *peer, sign string, addr netip.Addr) {
	if to != nil {
		fmt.Fprintf(&c.lines, "public_key=%x\nupdate_only=true\nallowed_ip=%s%s\n", to.public, sign, single(addr))
	}
}

// register makes own the overlay addresses of a peer. The lock must be held.
func (r *registry) register(id wire.NodeID, public [32]byte, own []netip.Addr) (reg *registration, device change, err error) {
	old := r.view.Load()
	next := *old
	if reg = old.peer(id); reg == nil {
		reg = &registration{id: id, public: public, frames: newFrames()}
		reg.own.Store(new([]netip.Addr))
		next = next.withPeer(reg)
	}
	if reg.public != public {
		return nil, device, fmt.Errorf("add peer %s: it is known with another key", id.Short())
	}
	for _, addr := range *reg.own.Load() {
		if !slices.Contains(own, addr) && old.owner(addr) == reg {
			next = next.withoutOwner(addr)
			device.deny(reg.live.Load(), addr)
		}
	}
	for _, addr := range own {
		owner := old.owner(addr)
		if owner == reg {
			continue
		}
		if owner != nil {
			device.deny(owner.live.Load(), addr)
		}
		next = next.withOwner(addr, reg)
		device.allow(reg.live.Load(), addr)
	}
	reg.own.Store(&own)
	if next != *old { // the gate forgets what it knows with every view
		r.view.Store(&next)
	}
	return reg, device, nil
}

// forget takes a peer out of the view. The lock must be held.
func (r *registry) forget(reg *registration) {
	next := *r.view.Load()
	for _, addr := range *reg.own.Load() {
		if next.owner(addr) == reg {
			next = next.withoutOwner(addr)
		}
	}
	next = next.withoutPeer(reg)
	r.view.Store(&next)
}

// AddPeer registers a peer, or changes the overlay addresses that it may use if it is known. Each prefix is one address;
// it belongs to one peer, and the last one to claim it has it. WireGuard gets the peer only when it is needed.
func (p *Plane) AddPeer(id wire.NodeID, public [32]byte, allowed []netip.Prefix) error {
	own := make([]netip.Addr, len(allowed))
	for i, prefix := range allowed {
		if !prefix.IsSingleIP() {
			return fmt.Errorf("add peer %s: %s is not one address: give networks to SetSites", id.Short(), prefix)
		}
		own[i] = prefix.Addr()
	}
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	reg, device, err := r.register(id, public, own)
	if err != nil || device.lines.Len() == 0 {
		return err
	}
	if err := p.device.IpcSet(device.lines.String()); err != nil {
		p.remove(reg)
		return fmt.Errorf("add peer %s: %w", id.Short(), err)
	}
	return nil
}

// RemovePeer forgets a peer and its session at once: when it returns, nothing from the peer reaches the TUN interface
// any more. It is no error if the peer is not known.
func (p *Plane) RemovePeer(id wire.NodeID) error {
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	if reg := r.view.Load().peer(id); reg != nil {
		p.remove(reg)
	}
	return nil
}

// remove must be called with the registry's lock held.
func (p *Plane) remove(reg *registration) {
	p.peers.forget(reg) // first, so that nothing asks for the peer again
	if to := reg.live.Swap(nil); to != nil {
		p.drop(to)
	}
}
