package lan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Gateway answers on the LANs of this host for some gateway addresses, those that it is told to hold.
type Gateway struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	ports  map[netip.Addr]*port
	order  []netip.Addr
	closed bool
	unhook func() bool // from the context of Open
}

// Status tells of one gateway address.
type Status struct {
	Addr      netip.Addr
	Interface string
	Held      bool
	Conflicts uint64 // how often another station claimed the address while it was held here
	Rival     MAC    // the last other station that was heard to claim it, zero if none
}

// Open gets ready to answer for gateway addresses in the network namespace of the calling thread, and holds none yet. An
// IPv6 link-local one has the name of its interface as its zone. It asks the LAN who has them and logs the answers. It
// ends with ctx, or with Close.
func Open(ctx context.Context, gateways []netip.Addr, log *slog.Logger) (*Gateway, error) {
	g := &Gateway{log: log, ports: make(map[netip.Addr]*port)}
	ifaces, err := interfaces()
	if err != nil {
		return nil, err
	}
	for _, addr := range gateways {
		addr = addr.Unmap()
		if g.ports[addr] != nil {
			continue
		}
		at, err := attach(ifaces, addr)
		if err == nil {
			g.ports[addr], err = openPort(at, addr, log)
		}
		if err != nil {
			delete(g.ports, addr)
			_ = g.Close()
			return nil, err
		}
		g.order = append(g.order, addr)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unhook = context.AfterFunc(ctx, func() { _ = g.Close() })
	return g, nil
}

// Hold begins to answer for an address and announces it, before it returns; or ends it, which nobody is told. To repeat
// it does no harm.
func (g *Gateway) Hold(addr netip.Addr, hold bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.ports[addr.Unmap()]; p != nil && !g.closed {
		p.hold(hold)
	}
}

// Refresh looks again where the addresses belong: an interface may have been made anew or have another hardware address
// or other networks. It is for when interfaces have changed, in the network namespace that Open was called in, and costs
// two listings if that concerns none of the addresses. One that belongs nowhere at present stays as it is, with an error.
func (g *Gateway) Refresh() error {
	ifaces, err := interfaces()
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, addr := range g.order {
		at, err := attach(ifaces, addr)
		old := g.ports[addr]
		if err != nil || g.closed || at.equal(old.at) {
			errs = append(errs, err)
			continue
		}
		renewed, err := openPort(at, addr, g.log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.ports[addr] = renewed
		held := old.status().Held
		old.close()
		renewed.hold(held)
	}
	return errors.Join(errs...)
}

// Status tells of the addresses, in the order of Open.
func (g *Gateway) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Status
	for _, addr := range g.order {
		list = append(list, g.ports[addr].status())
	}
	return list
}

// Close falls silent, without a word to the LAN, and returns when nothing runs any more.
func (g *Gateway) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	if g.unhook != nil {
		g.unhook()
	}
	for _, p := range g.ports {
		p.close()
	}
	return nil
}

// port is one address on its LAN. Whoever has the lock may step the Responder and do what it wants done, so that Hold
// need not wait for another goroutine.
type port struct {
	addr  netip.Addr
	at    attachment
	log   *slog.Logger
	file  *os.File
	group *os.File // for IPv6, if the kernel let us
	done  chan struct{}

	mu        sync.Mutex // guards what follows
	responder *Responder
	outputs   []Output
	failing   bool // the last frame could not be sent
}

func openPort(at attachment, addr netip.Addr, log *slog.Logger) (*port, error) {
	log = log.With("gateway", addr, "interface", at.name)
	plain := addr.WithZone("")
	file, err := openSocket(at, plain)
	if err != nil {
		return nil, fmt.Errorf("gateway %v: %w", addr, err)
	}
	p := &port{addr: addr, at: at, log: log, file: file, done: make(chan struct{})}
	if plain.Is6() {
		if p.group, err = joinGroup(at, plain); err != nil {
			log.Warn("switches that filter multicast may keep questions for the gateway address from this node", "err", err)
		}
	}
	p.responder = NewResponder(DefaultConfig(), plain, at.mac, at.networks)
	p.step(time.Now(), Tick{})
	go p.run()
	return p, nil
}

func (p *port) close() {
	_ = p.file.Close()
	if p.group != nil {
		_ = p.group.Close()
	}
	<-p.done
}

func (p *port) hold(hold bool) {
	if hold {
		p.step(time.Now(), Hold{})
	} else {
		p.step(time.Now(), Release{})
	}
}

func (p *port) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Addr: p.addr, Interface: p.at.name, Held: p.responder.Held()}
	s.Conflicts, s.Rival = p.responder.Conflicts()
	return s
}

// maxWait is how long a frame may wait for an interface that is stuck: whoever called Hold has other things to do.
const maxWait = 20 * time.Millisecond

// errorPause keeps a socket that reports one error after the other from keeping the processor busy.
const errorPause = 100 * time.Millisecond

// run steps the Responder with every frame and at every deadline, until the socket is closed.
func (p *port) run() {
	defer close(p.done)
	frame := make([]byte, maxFrame)
	for {
		n, err := p.file.Read(frame)
		switch {
		case err == nil:
			p.step(time.Now(), Received{Frame: frame[:n]})
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.step(time.Now(), Tick{})
		case errors.Is(err, os.ErrClosed):
			return
		default: // the interface is down, or has gone: Refresh finds out
			time.Sleep(errorPause)
		}
	}
}

// step lets the Responder take an input, does what it wants and has the reader wake at its next deadline.
func (p *port) step(now time.Time, in Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.responder.Step(now, in) // an error is a frame that was ignored
	p.outputs = p.responder.Drain(p.outputs[:0])
	for _, out := range p.outputs {
		p.act(out)
	}
	clear(p.outputs)
	at, _ := p.responder.NextDeadline() // zero: none
	_ = p.file.SetReadDeadline(at)
}

func (p *port) act(out Output) {
	switch out := out.(type) {
	case Send:
		_ = p.file.SetWriteDeadline(time.Now().Add(maxWait))
		_, err := p.file.Write(out.Frame)
		if err != nil && !p.failing {
			p.log.Warn("cannot speak on the LAN", "err", err)
		}
		p.failing = err != nil
	case Contested:
		p.log.Warn("another station answers for the gateway address, too, while this node holds it", "mac", out.By)
	case Occupied:
		p.log.Warn("a station answers for the gateway address: unless it is another node of this site, "+
			"give it another address", "mac", out.By)
	}
}
