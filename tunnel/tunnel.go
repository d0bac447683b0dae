// Package tunnel is the data plane: a wireguard-go device between a TUN interface and the UDP sockets of package udp,
// with our own conn.Bind, which decides by the published forwarding table on which path a packet travels. It computes
// no path and takes no lock per packet.
//
//	TUN ──▶ gate ──▶ wireguard-go ──▶ Bind.Send ──┬─ data ──────▶ Way.Primary of its class (and a copy on Duplicate)
//	                                              └─ handshake ─▶ every path of Route.All
//
//	socket ──▶ receiver ─ class of each datagram ─┬─ WireGuard ─────────────▶ wireguard-go ──▶ gate ──▶ TUN
//	                                              ├─ label that ends here ──▶ as the frame within it
//	                                              ├─ label that goes on ────▶ rewritten, next hop
//	                                              └─ control, STUN, join ───▶ Event
//
// The gate also puts packets from and to networks behind nodes into a header of their own, and takes it off (outer.go),
// and marks packets with their traffic class, for Bind.Send (mark.go).
// Of all the peers that are registered wireguard-go has those that are in use (lifecycle.go).
package tunnel

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
	"overlayd/tunnel/fwd"
	"overlayd/tunnel/initiation"
	"overlayd/tunnel/udp"
)

// ErrPortInUse is what Open wraps when another process has the UDP port.
var ErrPortInUse = udp.ErrPortInUse

// What Send returns for a hop that leads nowhere.
var (
	ErrNoSocket  = errors.New("hop names no local socket")
	ErrNoAddress = errors.New("hop has no address that the socket can send to")
)

// Config is what a Plane is made from. All fields but Log are needed.
type Config struct {
	Listen     netip.AddrPort // unspecified address: IPv4 and, where there is any, IPv6
	PrivateKey [32]byte       // of WireGuard
	TUN        tun.Device     // belongs to the Plane from then on
	Clock      func() wire.Stamp
	Events     chan<- Event // never closed; when it is full, events are dropped and counted
	Log        *slog.Logger
}

// Plane is a running data plane. Its methods may be called from any goroutine.
type Plane struct {
	table    atomic.Pointer[fwd.Table]
	clock    func() wire.Stamp
	sockets  []*udp.Socket
	batches  [2]sync.Pool // of *udp.Batch, for IPv4 and IPv6
	gathered sync.Pool    // of *[][]byte, for packets out of a batch
	backlogs []*backlog   // for each socket
	events   sink
	screen   atomic.Pointer[Screen]
	peers    registry
	sites    atomic.Pointer[sites]
	classes  atomic.Pointer[classes.Set]
	public   [32]byte // our own key
	cookies  device.CookieChecker
	opener   *initiation.Opener
	waiting  atomic.Int64   // handshake messages that are kept for want of a path
	device   *device.Device // nil until start
	gate     *gate
	ending   chan struct{} // closed by end
	ended    sync.Once
	sweeper  sync.WaitGroup
	count    counters
}

// Open opens the sockets and starts the device. Until the first Publish there is no path to anywhere.
func Open(cfg Config) (*Plane, error) {
	p, err := newPlane(cfg)
	if err != nil {
		return nil, fmt.Errorf("open data plane: %w", err)
	}
	if err := p.start(cfg); err != nil {
		p.Close()
		return nil, fmt.Errorf("open data plane: %w", err)
	}
	return p, nil
}

// newPlane makes a Plane with open sockets and no device.
func newPlane(cfg Config) (*Plane, error) {
	key, err := ecdh.X25519().NewPrivateKey(cfg.PrivateKey[:])
	if err != nil {
		return nil, err
	}
	sockets, err := udp.Listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	p := &Plane{clock: cfg.Clock, sockets: sockets, events: sink{to: cfg.Events}, ending: make(chan struct{})}
	p.table.Store(&fwd.Table{})
	p.sites.Store(new(sites))
	p.SetClasses(nil)
	p.gathered.New = func() any { return new([][]byte) }
	p.peers.init()
	copy(p.public[:], key.PublicKey().Bytes())
	p.cookies.Init(p.public)
	if p.opener, err = initiation.NewOpener(cfg.PrivateKey); err != nil {
		return nil, errors.Join(err, p.closeSockets())
	}
	for _, s := range sockets {
		p.backlogs = append(p.backlogs, newBacklog())
		p.batches[family(s)].New = func() any { return s.NewBatch() }
	}
	p.gate = newGate(p, cfg.TUN)
	return p, nil
}

func (p *Plane) start(cfg Config) error {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p.device = device.NewDevice(p.gate, &bind{plane: p}, deviceLogger(log))
	p.device.DisableSomeRoamingForBrokenMobileSemantics() // a path is chosen by the table alone
	if err := p.device.IpcSet("private_key=" + hex.EncodeToString(cfg.PrivateKey[:]) + "\n"); err != nil {
		return err
	}
	if err := p.device.Up(); err != nil {
		return err
	}
	p.sweeper.Go(p.sweepNowAndThen)
	return nil
}

// Publish makes t the forwarding table. It must not be changed afterwards.
func (p *Plane) Publish(t *fwd.Table) {
	p.table.Store(t)
	if p.waiting.Load() > 0 {
		p.releaseHandshakes(t)
	}
}

// Send sends one control, STUN or join frame, with the hop's label in front if it has one. It never waits: if the send
// buffer is full it drops the frame. It does not keep the frame. The error is for counting: net.ErrClosed, ErrNoSocket,
// ErrNoAddress, udp.ErrFull, or what the kernel said about that destination.
func (p *Plane) Send(hop fwd.Hop, frame []byte) error {
	if int(hop.Socket) >= len(p.sockets) {
		p.count.sendFailed.Add(1)
		return ErrNoSocket
	}
	s := p.sockets[hop.Socket]
	batch := p.getBatch(s)
	batch.Packet(hop.Addr, prefixOf(hop.Label), frame)
	err := ErrNoAddress
	if !batch.Empty() {
		_, err = s.Send(batch)
	}
	p.putBatch(s, batch)
	if err != nil {
		p.count.sendFailed.Add(1)
	}
	return err
}

// Listening tells the local address of each socket; the index is what fwd.Hop calls Socket.
func (p *Plane) Listening() []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(p.sockets))
	for i, s := range p.sockets {
		addrs[i] = s.LocalAddr()
	}
	return addrs
}

// Done is closed when the data plane has ended: by Close, or because the TUN interface is gone.
func (p *Plane) Done() <-chan struct{} { return p.device.Wait() }

// Close ends the data plane and closes the sockets and the TUN device.
func (p *Plane) Close() error {
	p.end()
	p.peers.close()
	p.sweeper.Wait()
	p.device.Close()
	p.peers.stopTimers()
	return p.closeSockets()
}

// end frees those who wait for a peer. The device has begun to close, or is about to.
func (p *Plane) end() { p.ended.Do(func() { close(p.ending) }) }

func (p *Plane) closeSockets() error {
	var errs []error
	for _, s := range p.sockets {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// family is the index in Plane.batches for a socket.
func family(s *udp.Socket) int {
	if s.Is6() {
		return 1
	}
	return 0
}

func (p *Plane) getBatch(s *udp.Socket) *udp.Batch { return p.batches[family(s)].Get().(*udp.Batch) }

func (p *Plane) putBatch(s *udp.Socket, b *udp.Batch) {
	b.Reset()
	p.batches[family(s)].Put(b)
}
