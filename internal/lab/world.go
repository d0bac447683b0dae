package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/netns"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/wan"
)

// world is the sites of a scenario: namespaces around an emulated wide-area network.
//
//	┌ host ────────┐          ┌ host ─────┐ veth ┌ router ──────┐
//	│ overlayd     │          │ overlayd  ├──────┤ masquerade   │
//	│         wan0 ┼─TAP─┐    └───────────┘      │         wan0 ┼─TAP─┐
//	└──────────────┘     │                       └──────────────┘     │
//	                     └────────────── emulator ────────────────────┘
type world struct {
	sites    map[string]*site
	order    []*site
	hosts    map[string]*netns.Namespace // on the LANs
	wan      *emulator.Emulator
	spawner  *netns.Spawner
	closers  []func() error
	scenario *scenario.Scenario
	seed     uint64
}

// site is one site of a world.
type site struct {
	name   string
	host   *netns.Namespace // where its node runs
	inside netip.Addr       // the host's own underlay address
	public netip.Addr       // the address that the others see
	index  wan.Site
	ports  [2]wan.Port // uplink and downlink
	moves  int         // how often it has moved
}

// uplinkName is the device of a site's uplink.
const uplinkName = "wan0"

// newWorld builds the world; with keep its namespaces are to be found by name in /run/netns.
func newWorld(s *scenario.Scenario, seed uint64, keep bool) (_ *world, err error) {
	w := &world{
		sites: make(map[string]*site), hosts: make(map[string]*netns.Namespace), scenario: s, spawner: netns.NewSpawner(),
		seed: seed,
	}
	w.closers = append(w.closers, func() error { w.spawner.Close(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	var uplinks []emulator.Uplink
	for i, spec := range s.Sites {
		st := &site{name: spec.Name, public: spec.Addresses()[0], index: wan.Site(i)}
		wire, err := w.attach(st, spec, i, keep)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", spec.Name, err)
		}
		uplinks = append(uplinks, emulator.Uplink{FD: wire.FD, Hardware: wire.Hardware, Addresses: spec.Addresses()})
		st.ports = [2]wan.Port{wan.Port(spec.Uplink), wan.Port(spec.Downlink)}
		w.sites[st.name] = st
		w.order = append(w.order, st)
	}
	for _, l := range s.LANs {
		if err := w.addLAN(l, keep); err != nil {
			return nil, fmt.Errorf("LAN %s: %w", l.Name, err)
		}
	}
	if w.wan, err = emulator.Start(uplinks, seed); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.wan.Close)
	w.wan.Change(w.setUp)
	return w, nil
}

// close takes everything down, the last made first.
func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	w.closers = nil
	return errors.Join(errs...)
}

// attach makes the namespaces of a site and returns the far end of its uplink.
func (w *world) attach(st *site, spec scenario.Site, number int, keep bool) (wire netns.Wire, err error) {
	if st.host, err = w.namespace(st.name, keep); err != nil {
		return wire, err
	}
	outside := st.host
	st.inside = st.public
	if spec.NAT == scenario.Masquerade {
		if outside, err = w.namespace(st.name+"-router", keep); err != nil {
			return wire, err
		}
		if st.inside, err = behindRouter(st.host, outside, spec, byte(number+1)); err != nil {
			return wire, err
		}
	}
	if wire, err = outside.AddUplink(uplinkName, emulator.MTU); err != nil {
		return wire, err
	}
	if err := addUplink(outside, spec); err != nil {
		return wire, err
	}
	for _, b := range spec.Bridges {
		if err := st.host.AddHostBridge(b.Device, b.Prefix, emulator.MTU); err != nil {
			return wire, err
		}
	}
	if spec.NAT == scenario.Masquerade {
		err = errors.Join(outside.Masquerade(uplinkName), outside.Firewall6(uplinkName))
	}
	return wire, err
}

// addUplink gives a site's uplink its addresses and lets everything leave by it.
func addUplink(outside *netns.Namespace, spec scenario.Site) error {
	var errs []error
	if spec.Address.IsValid() {
		errs = append(
			errs, outside.AddAddress(uplinkName, netip.PrefixFrom(spec.Address, 32)),
			outside.AddRoute(uplinkName, netns.DefaultRoute(), netip.Addr{}),
		)
	}
	if spec.Address6.IsValid() {
		if spec.NAT == scenario.NoNAT {
			errs = append(errs, outside.AddAddress(uplinkName, netip.PrefixFrom(spec.Address6, 128)))
		}
		errs = append(errs, outside.AddRoute(uplinkName, netns.DefaultRoute6(), netip.Addr{}))
	}
	return errors.Join(errs...)
}

// namespace makes a namespace that closes with the world.
func (w *world) namespace(name string, keep bool) (*netns.Namespace, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, ns.Close)
	if keep {
		return ns, ns.Keep(fmt.Sprintf("overlaylab-%d-%s", os.Getpid(), name))
	}
	return ns, nil
}

// behindRouter connects a host to its router by networks of their own, and returns the host's IPv4 address there.
func behindRouter(host, router *netns.Namespace, spec scenario.Site, number byte) (netip.Addr, error) {
	inside := netip.AddrFrom4([4]byte{192, 168, number, 2})
	gateway := netip.AddrFrom4([4]byte{192, 168, number, 1})
	err := errors.Join(
		netns.Connect(host, "eth0", router, "lan0", emulator.MTU),
		host.AddAddress("eth0", netip.PrefixFrom(inside, 24)),
		router.AddAddress("lan0", netip.PrefixFrom(gateway, 24)),
		host.AddRoute("eth0", netns.DefaultRoute(), gateway),
	)
	if err != nil || !spec.Address6.IsValid() {
		return inside, err
	}
	return inside, errors.Join(
		host.AddAddress("eth0", netip.PrefixFrom(spec.Address6, 64)),
		router.AddAddress("lan0", netip.PrefixFrom(spec.Router6(), 64)),
		host.AddRoute("eth0", netns.DefaultRoute6(), spec.Router6()),
	)
}

// setUp gives the emulator the links and ports that the scenario begins with.
func (w *world) setUp(now wan.Instant, n *emulator.Network) {
	for _, st := range w.order {
		n.SetPorts(now, st.index, st.ports[0], st.ports[1])
	}
	for _, d := range w.scenario.Underlay(w.seed) {
		n.SetLink(now, w.sites[d.Pair.From].index, w.sites[d.Pair.To].index, d.Link)
	}
}

// open reports whether two sites have a link, and a host at least that the other can reach unasked.
func (w *world) open(a, b scenario.Site) (open bool) {
	if a.NAT != scenario.NoNAT && b.NAT != scenario.NoNAT {
		return false
	}
	w.wan.Change(func(_ wan.Instant, n *emulator.Network) {
		_, there := n.Link(w.sites[a.Name].index, w.sites[b.Name].index)
		_, back := n.Link(w.sites[b.Name].index, w.sites[a.Name].index)
		open = there && back
	})
	return open
}

// change applies f to the links of a pair and returns when it did. A pair without a link gets one.
func (w *world) change(p scenario.Pair, f func(wan.Link) wan.Link) time.Time {
	return w.wan.Change(func(now wan.Instant, n *emulator.Network) {
		for _, d := range p.Directions() {
			from, to := w.sites[d.From].index, w.sites[d.To].index
			link, _ := n.Link(from, to)
			n.SetLink(now, from, to, f(link))
		}
	})
}

// setPorts applies a change of rates and returns when it did.
func (w *world) setPorts(a scenario.SetPorts) time.Time {
	st := w.sites[a.Site]
	if a.Uplink != nil {
		st.ports[0] = wan.Port(*a.Uplink)
	}
	if a.Downlink != nil {
		st.ports[1] = wan.Port(*a.Downlink)
	}
	return w.wan.Change(func(now wan.Instant, n *emulator.Network) {
		n.SetPorts(now, st.index, st.ports[0], st.ports[1])
	})
}

// split cuts those of some directions that have a link, or ends that, all of them at one moment.
func (w *world) split(directions []scenario.Pair, cut bool) {
	w.wan.Change(func(at wan.Instant, n *emulator.Network) {
		for _, d := range directions {
			from, to := w.sites[d.From].index, w.sites[d.To].index
			if link, ok := n.Link(from, to); ok {
				link.Cut = cut
				n.SetLink(at, from, to, link)
			}
		}
	})
}
