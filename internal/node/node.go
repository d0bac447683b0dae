package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"overlayd/config"
	"overlayd/internal/journal"
	"overlayd/internal/member"
	"overlayd/internal/routeguard"
	"overlayd/internal/state"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel"
	"overlayd/tunnel/osnet"
)

const (
	eventQueue   = 1024 // events of the data plane that wait for the loop
	eventsAtOnce = 64   // taken before deadlines are looked at again
)

// Node runs a Core: it is the one goroutine that steps it, and its hands.
type Node struct {
	cfg     config.Config
	dir     *state.Dir
	log     *slog.Logger
	core    *Core
	plane   *tunnel.Plane
	saver   *saver
	reports reports

	journal *journal.Journal

	name     string
	started  time.Time
	contact  Contact // stored with the network
	exported bool    // the root key, since the start
	leaving  bool    // nothing is stored any more
	host     *hostNet
	ruled    []wire.NodeID // the peers that the rules for classes name, as last told to the plane

	events   chan tunnel.Event
	requests chan func(now time.Time)
	underlay chan LocalAddresses
	stop     context.CancelCauseFunc
	stopped  chan struct{} // closed when the loop has ended
	waiting  map[uint32]chan PingDone
	finder   *uplinkFinder
	outputs  []Output
	version  string
}

// Open makes everything that a node needs; options are for hostile members in the lab. Close it in the end, whether it ran
// or not.
func Open(cfg config.Config, dir *state.Dir, version string, log *slog.Logger, options ...Option) (*Node, error) {
	now := time.Now()
	m, err := load(dir, now)
	for _, text := range dir.Notices() {
		log.Warn(text)
	}
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, dir: dir, log: log, started: now,
		name: m.certificate.Name, contact: m.contact,
		events:   make(chan tunnel.Event, eventQueue),
		reports:  newReports(),
		requests: make(chan func(time.Time)),
		underlay: make(chan LocalAddresses, 1),
		stopped:  make(chan struct{}),
		finder:   newUplinkFinder(),
		waiting:  make(map[uint32]chan PingDone),
		version:  version,
	}
	device, err := n.openDevice(m)
	if err != nil {
		return nil, err
	}
	private, _ := m.identity.PrivateKeys()
	n.plane, err = tunnel.Open(tunnel.Config{
		Listen: cfg.Listen, PrivateKey: private, TUN: device, Events: n.events, Log: log,
		Clock: func() wire.Stamp { return stamp(now, time.Now()) },
	})
	if err != nil {
		return nil, err
	}
	n.host.detour = n.plane.SetDetours
	n.host.setDetours(n.host.routes(nil))
	if err := n.openCore(now, m, options); err != nil {
		return nil, errors.Join(err, n.plane.Close())
	}
	n.plane.SetScreen(n.core.box.Screen().Sender)
	return n, nil
}

// openDevice makes the TUN interface with its addresses and routes.
func (n *Node) openDevice(m membership) (tun.Device, error) {
	device, err := osnet.Open(n.cfg.Interface, n.cfg.MTU)
	if err != nil {
		return nil, err
	}
	n.host = newHostNet(n.cfg, m.network, n.log)
	if err := n.host.configure(Networks{Self: []netip.Addr{m.certificate.IPv4, m.certificate.IPv6}}); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return device, nil
}

func (n *Node) openCore(now time.Time, m membership, options []Option) error {
	algorithms, err := algorithmsOf(n.cfg.Select)
	if err != nil {
		return err
	}
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return fmt.Errorf("random seed: %w", err)
	}
	c := CoreConfig{
		Network: m.network, Identity: m.identity, Certificate: m.certificate, Root: m.root, Epoch: m.epoch,
		Ceiling: n.cfg.RelayCeiling, Copies: n.cfg.Copies, Subnets: n.cfg.Subnets, Gateways: n.cfg.Gateways, Labels: n.cfg.Labels,
		Sockets: n.plane.Listening(), Configured: n.cfg.Endpoints, Contact: m.contact, Relay: consent(n.cfg.Relay),
		Probe: probe.Config{
			Idle: n.cfg.Probe.Idle, Recent: n.cfg.Probe.Recent, Standby: n.cfg.Probe.Standby, Selected: n.cfg.Probe.Selected,
		},
		Select:    pathselect.Config{HoldMin: n.cfg.Select.Hold, Margin: n.cfg.Select.Margin, Ratio: n.cfg.Select.Ratio},
		Algorithm: algorithms.usual, Algorithms: algorithms.classes, Shadow: algorithms.shadow, Rules: m.rules, Seed: seed, Secret: rand.Reader,
		Version: n.version,
	}
	for _, change := range options {
		change(&c)
	}
	n.core, err = NewCore(now, c, m.items)
	return err
}

func consent(mode config.RelayMode) member.Consent {
	switch mode {
	case config.RelayNever:
		return member.RelayNever
	case config.RelayAlways:
		return member.RelayAlways
	default:
		return member.RelayAuto
	}
}

// Run runs the node until ctx ends or somebody asks it to stop. It calls ready once the node works.
func (n *Node) Run(ctx context.Context, ready func()) error {
	ctx, n.stop = context.WithCancelCause(ctx)
	defer n.stop(nil)
	n.saver = startSaver(n.dir, n.log)
	defer n.saver.close()
	n.openJournal()
	defer n.journal.Close()
	if err := n.host.start(ctx); err != nil {
		return err
	}
	defer n.host.close()
	if err := n.watchUnderlay(ctx); err != nil {
		return err
	}
	_ = n.act()
	n.setClasses()
	n.log.Info("up", "node", n.name, "network", n.core.members.Network().Name, "addresses", n.core.ownAddresses(), "interface", n.cfg.Interface,
		"listen", n.plane.Listening())
	ready()
	go n.finder.run(ctx, n.findUplink) // not waited for: the kernel may keep it
	n.loop(ctx)
	close(n.stopped)
	n.goodbye()
	n.log.Info("stopped", "node", n.name, "why", n.whyStopped(ctx), "ran", time.Since(n.started).Round(time.Second))
	if ctx.Err() == nil {
		return fmt.Errorf("%w: %s was deleted by another program, or cannot be read any more; start overlayd again", ErrDevice, n.cfg.Interface)
	}
	return nil
}

// ErrDevice is what Run wraps when the data plane has ended by itself: whoever watches the process has to start it again.
var ErrDevice = errors.New("the TUN interface is gone")

// What ends a node, for the log.
var (
	errAsked = errors.New("asked to by overlayctl down")
	errLeft  = errors.New("left the network")
)

// whyStopped says what ended the loop, for the log.
func (n *Node) whyStopped(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	return ErrDevice.Error()
}

// Close takes the interface and the sockets down. It is called once, after Run.
func (n *Node) Close() {
	if err := n.plane.Close(); err != nil {
		n.log.Warn("closing the data plane", "err", err)
	}
}

// loop steps the core with whatever comes, and with the passing of time.
func (n *Node) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if due, ok := n.core.NextDeadline(); ok {
			timer.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return
		case <-n.plane.Done():
			return
		case e := <-n.events:
			n.step(event(e))
			n.more()
		case do := <-n.requests:
			n.readClock()
			do(n.now())
			_ = n.act()
		case host := <-n.underlay:
			n.step(host)
		case n.finder.ask() <- n.finder.waiting:
			n.finder.taken()
		case found := <-n.finder.found:
			n.step(found)
		case <-timer.C:
			n.step(Tick{})
		}
	}
}

// more takes the events that are waiting already, up to a bound.
func (n *Node) more() {
	for range eventsAtOnce {
		select {
		case e := <-n.events:
			n.step(event(e))
		default:
			return
		}
	}
}

func (n *Node) step(in Input) {
	n.readClock()
	n.stepAt(n.now(), in)
}

// now is steady time: the start and what has passed since.
func (n *Node) now() time.Time { return n.started.Add(time.Since(n.started)) }

// readClock tells the core if the wall clock was set, or the host has slept.
func (n *Node) readClock() {
	const drift = time.Second
	offset := time.Now().Round(0).Sub(n.now().Round(0))
	if (offset - n.core.clock.offset).Abs() > drift {
		n.stepAt(n.now(), WallClock{Offset: offset})
	}
}

func (n *Node) stepAt(now time.Time, in Input) {
	if err := n.core.Step(now, in); err != nil {
		n.log.Error("input refused", "err", err)
	}
	_ = n.act()
}

// event is an event of the data plane as the core takes it.
func event(e tunnel.Event) Input {
	switch e.Kind {
	case tunnel.EventWake:
		return Wake{Peer: e.Peer}
	case tunnel.EventUnknownLabel:
		return UnknownLabel{From: e.Peer, Label: e.Label}
	}
	class := wire.ClassControl
	switch e.Kind {
	case tunnel.EventSTUN:
		class = wire.ClassSTUN
	case tunnel.EventJoin:
		class = wire.ClassJoin
	}
	return Datagram{Class: class, Data: e.Data, Socket: e.Socket, From: e.From, Path: e.Path, At: e.At}
}

// act carries out what the core wants. The error says that something could not be stored: then no newcomer is answered.
func (n *Node) act() (unsaved error) {
	n.outputs = n.core.Drain(n.outputs[:0])
	for _, out := range n.outputs {
		if n.reports.leavesOut(n.core.now, out) {
			continue
		}
		n.noteOutput(out)
		switch out := out.(type) {
		case Send:
			if unsaved != nil && wire.Classify(out.Frame) == wire.ClassJoin {
				continue
			}
			_ = n.plane.Send(out.Hop, out.Frame) // counted by the plane; a lost frame is what everything expects
		case Publish:
			n.plane.Publish(out.Table)
		case AddPeer:
			if err := n.plane.AddPeer(out.ID, out.Public, out.Allowed); err != nil {
				n.log.Error("cannot add peer", "peer", n.core.name(out.ID), "err", err)
			}
		case RemovePeer:
			if err := n.plane.RemovePeer(out.ID); err != nil {
				n.log.Error("cannot remove peer", "peer", out.ID.Short(), "err", err)
			}
		case RenewSession:
			if err := n.plane.Renew(out.ID); err != nil {
				n.log.Debug("cannot begin a new session", "peer", n.core.name(out.ID), "err", err)
			}
		case ForgetSession:
			if err := n.plane.Forget(out.ID); err != nil {
				n.log.Error("cannot end the session with a peer", "peer", n.core.name(out.ID), "err", err)
			}
		case SaveMembers:
			unsaved = errors.Join(unsaved, n.saveMembers(out))
		case SaveMembership:
			unsaved = errors.Join(unsaved, n.saveMembership(out))
		case SaveRules:
			unsaved = errors.Join(unsaved, n.saveRules(out))
		case RuleChanged:
			if out.Change == RuleExpired {
				n.log.Info("rule expired", "peer", out.Name, "rule", out.Text)
			}
		case Networks:
			n.plane.SetSites(tunnel.Sites(out))
			n.host.follow(out)
		case HoldGateway:
			n.host.hold(out.Addr, out.Hold)
		case Notice:
			level := slog.LevelInfo
			switch {
			case out.Bad:
				level = slog.LevelError
			case out.Warning:
				level = slog.LevelWarn
			}
			n.log.Log(context.Background(), level, out.Text)
		case FindUplink:
			n.finder.add(out.To)
		case Quarantined:
			n.log.Warn(out.Why, "relay", n.core.name(out.Relay), "peer", n.core.name(out.Peer))
		case Switched:
			level := slog.LevelInfo
			if out.begins() {
				level = slog.LevelDebug // the peer has come up, which says the same
			}
			n.log.Log(context.Background(), level, "switched", "peer", out.Peer, "via", out.Via, "endpoint", out.Endpoint, "why", out.Reason)
		case PeerChanged:
			if out.Up {
				n.log.Info("peer up", "peer", out.Peer, "via", out.Via, "endpoint", out.Endpoint, "why", out.Reason)
			} else {
				n.log.Warn("peer down", "peer", out.Peer, "why", out.Reason)
			}
		case PathChanged:
			n.log.Debug("path", "peer", out.Peer, "via", out.Via, "endpoint", out.Endpoint,
				"from", out.From, "to", out.To, "why", out.Why)
		case PingDone:
			if done := n.waiting[out.ID]; done != nil {
				delete(n.waiting, out.ID)
				done <- out
			}
		}
	}
	if slices.ContainsFunc(n.outputs, changesMembers) {
		n.setClasses()
	}
	clear(n.outputs)
	return unsaved
}

// findUplink is the network interface by which the host sends to an underlay address now; empty if there is none.
func (n *Node) findUplink(to netip.Addr) string {
	name, err := osnet.UplinkTo(to, n.cfg.Interface)
	if err != nil {
		n.log.Debug("uplink", "to", to, "err", err)
	}
	return name
}

// goodbye tells the peers, so that they need not find out, and stores what was learned since the core last asked for it.
func (n *Node) goodbye() {
	now := n.now()
	n.note(journal.Event{Kind: journal.Stopped})
	_ = n.saveMembers(SaveMembers{Items: n.core.members.Stored()})
	if !n.leaving {
		if err := n.store(n.core.members.Network(), n.core.members.Certificate()); err != nil {
			n.log.Warn("cannot store the network", "err", err)
		}
	}
	if err := n.core.Step(now, Shutdown{}); err == nil {
		_ = n.act()
	}
}

// saveMembers stores what is known of the members: at once, or beside the loop.
func (n *Node) saveMembers(out SaveMembers) error {
	switch {
	case n.leaving:
	case !out.Now:
		n.saver.save(out.Items)
	default:
		if err := n.saver.saveNow(out.Items); err != nil {
			n.log.Error("cannot store what is known of the members", "err", err)
			return err
		}
	}
	return nil
}

// saveMembership stores the network's settings and this node's certificate.
func (n *Node) saveMembership(out SaveMembership) error {
	if n.leaving {
		return nil
	}
	if err := n.store(out.Network, out.Certificate); err != nil {
		n.log.Error("cannot store the certificate of this node", "err", err)
		return err
	}
	n.name = out.Certificate.Name
	n.log.Info("this node has a new certificate", "expires", out.Certificate.NotAfter, "name", n.name,
		"ipv4", out.Certificate.IPv4, "subnets", out.Certificate.Subnets)
	return nil
}

// watchUnderlay keeps the core informed of the interfaces of this host, the first time before it returns.
func (n *Node) watchUnderlay(ctx context.Context) error {
	if host, ok := n.listUnderlay(); ok {
		n.step(host)
	}
	return osnet.Watch(ctx, func() {
		n.host.refresh()
		if host, ok := n.listUnderlay(); ok {
			replace(n.underlay, host)
		}
	})
}

func (n *Node) listUnderlay() (in LocalAddresses, ok bool) {
	host, err := osnet.Underlay(n.cfg.Interface)
	if err != nil {
		n.log.Warn("cannot list the addresses of this host", "err", err)
		return in, false
	}
	in.Addrs = host.Endpoints
	for _, a := range host.Addresses {
		in.Host.Addresses = append(in.Host.Addresses, routeguard.Address(a))
	}
	return in, true
}
