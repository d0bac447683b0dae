package tunnel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
)

// A peer costs wireguard-go 33 KB and two goroutines, so it has one only while there is something to say:
//
//	            a packet goes to it, it begins a handshake, Renew
//	registered ───────────────────────────────────────────────────▶ live
//	           ◀───────────────────────────────────────────────────
//	                          a sweep finds it idle
//
// Whoever needs a peer notes that first (touch) and looks then whether it is live; a sweep takes it away first and looks
// then whether somebody needs it. So one of the two always sees the other, and no packet falls in between.

const (
	// idleFor is how long a peer is kept after the last use. It must outlive every session that the other end may still
	// use: a peer answers data with a keepalive after 10 s, which may begin a handshake, that is tried for 90 s; the
	// session that comes of it is good for 180 s. Then both ends need a new handshake anyway, and that brings it back.
	idleFor = 5 * time.Minute
	// sweepInterval is between two looks for idle peers.
	sweepInterval = 30 * time.Second
)

var errUnknownPeer = errors.New("no such peer")

// need notes that a peer is needed and returns it; nil if wireguard-go cannot have it now. It may be called where
// wireguard-go reads and receives.
func (p *Plane) need(reg *registration) *peer {
	reg.touch()
	if to := reg.live.Load(); to != nil {
		return to
	}
	return p.raise(reg)
}

// raise lets another goroutine create the peer and waits for it, which takes a fraction of a millisecond. It does not
// wait when the device closes: Device.Close has the lock that IpcSet needs, and itself waits for the caller to end. But
// before that it closes the interface and the sockets, which ends the plane.
func (p *Plane) raise(reg *registration) *peer {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.create(reg) // seen by the peer that is missing; wireguard-go has logged it
	}()
	select {
	case <-done:
	case <-p.ending:
	}
	return reg.live.Load()
}

// create gives wireguard-go a peer, unless it has it.
func (p *Plane) create(reg *registration) error {
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.view.Load()
	switch {
	case reg.live.Load() != nil:
		return nil
	case r.closed || v.peer(reg.id) != reg:
		return errUnknownPeer
	}
	to := newPeer(reg)
	var config strings.Builder
	fmt.Fprintf(&config, "public_key=%x\nendpoint=%s\n", reg.public, reg.id)
	for _, addr := range *reg.own.Load() {
		if v.owner(addr) == reg {
			fmt.Fprintf(&config, "allowed_ip=%s\n", single(addr))
		}
	}
	r.creating = to
	r.enlist(to) // before it can have handshake messages that wait for a path
	err := p.device.IpcSet(config.String())
	r.creating = nil
	if err != nil {
		p.drop(to)
		return fmt.Errorf("create peer %s: %w", reg.id.Short(), err)
	}
	reg.lastUse = p.clock()
	reg.live.Store(to)
	return nil
}

// SessionSince is when the present WireGuard session with a peer came into use here; zero without one.
func (p *Plane) SessionSince(id wire.NodeID) wire.Stamp {
	reg := p.peers.view.Load().peer(id)
	if reg == nil {
		return 0
	}
	to := reg.live.Load()
	if to == nil {
		return 0
	}
	return wire.Stamp(to.session.began.Load())
}

// byName finds the peer of an endpoint= line. Only create writes such lines, so its lock is held.
func (r *registry) byName(name string) (*peer, error) {
	id, err := wire.ParseNodeID(name)
	if err != nil {
		return nil, err
	}
	if r.creating == nil || r.creating.id != id {
		return nil, errUnknownPeer
	}
	return r.creating, nil
}

func (r *registry) enlist(to *peer) {
	live := append(slices.Clone(*r.live.Load()), to)
	r.live.Store(&live)
}

func (r *registry) strike(to *peer) {
	live := slices.DeleteFunc(slices.Clone(*r.live.Load()), func(p *peer) bool { return p == to })
	r.live.Store(&live)
}

// drop takes a peer from wireguard-go, and waits until what is under way from it has been delivered. All that was kept
// for it goes with it. The registry's lock must be held.
func (p *Plane) drop(to *peer) {
	p.device.RemovePeer(device.NoisePublicKey(to.public))
	p.waiting.Add(-to.handshake.stop())
	p.peers.strike(to)
}

// sweepNowAndThen runs the sweeps until the plane ends.
func (p *Plane) sweepNowAndThen() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.sweep(p.clock())
		case <-p.ending:
			return
		}
	}
}

// sweep drops the peers that are idle. It lets go of the lock between any two, so that nobody waits for all.
func (p *Plane) sweep(now wire.Stamp) {
	for _, to := range *p.peers.live.Load() {
		p.sweepPeer(to, now)
	}
}

func (p *Plane) sweepPeer(to *peer, now wire.Stamp) {
	r, reg := &p.peers, to.registration
	r.mu.Lock()
	defer r.mu.Unlock()
	if reg.live.Load() != to {
		return
	}
	var idle bool
	if reg.lastUse, idle = look(reg.lastUse, reg.used.Swap(false), now); !idle {
		return
	}
	reg.live.Store(nil)
	if reg.used.Load() { // just now: whoever it was may have seen the peer
		reg.live.Store(to)
		return
	}
	p.drop(to)
}

// look decides about a peer in a sweep: when it was last used, and whether that is long enough ago to drop it. Used says
// whether it was since the sweep before.
func look(lastUse wire.Stamp, used bool, now wire.Stamp) (wire.Stamp, bool) {
	if used {
		return now, false
	}
	return lastUse, now.Sub(lastUse) >= idleFor
}

// close waits for a peer that is being created, and lets none follow.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *registry) stopTimers() {
	for _, p := range *r.live.Load() {
		p.handshake.stop()
	}
}
