package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"overlayd/config"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/tunnel/firewall"
	"overlayd/tunnel/lan"
	"overlayd/tunnel/osnet"
)

// siteOverhead is what a packet of a host behind a node is longer on the overlay, at most: the header between the nodes.
const siteOverhead = 40

// hostNet keeps the host's own network set up as the Core wants it, beside the loop: the kernel may take longer than a
// probe may wait. Only the latest wish counts.
type hostNet struct {
	device   string
	mtu      int
	prefixes []netip.Prefix // of the network
	gateways []netip.Addr
	log      *slog.Logger
	gateway  *lan.Gateway               // nil if there are none
	detour   func(map[netip.Prefix]int) // sets the interfaces of the underlay's own datagrams; nil while there are no sockets

	complete bool // what is wanted was set up

	latest chan Networks
	again  chan struct{} // one element: the host's interfaces or routes have changed
	done   sync.WaitGroup

	mu   sync.Mutex
	said map[string]string // the present complaint of each kind, so that it is not repeated; guarded by mu
}

func newHostNet(cfg config.Config, n *member.Network, log *slog.Logger) *hostNet {
	return &hostNet{
		device: cfg.Interface, mtu: cfg.MTU, prefixes: []netip.Prefix{n.Prefix, n.Prefix6}, gateways: cfg.Gateways,
		log: log, latest: make(chan Networks, 1), again: make(chan struct{}, 1), said: make(map[string]string),
	}
}

// configure sets up the interface; what could only be done in part is logged.
func (h *hostNet) configure(n Networks) error {
	routes := h.routes(n.Carriers)
	h.setDetours(routes)
	elsewhere, err := osnet.Configure(h.device, whole(n.Self), routes)
	h.say("this host reaches networks by itself that other nodes have too", elsewhere, len(elsewhere) > 0)
	h.say("the overlay works without IPv6", err, errors.Is(err, osnet.ErrNoIPv6))
	if errors.Is(err, osnet.ErrNoIPv6) {
		return nil
	}
	return err
}

// routes are those into the overlay: to itself, and to the networks that other nodes carry packets to.
func (h *hostNet) routes(carriers map[netip.Prefix]wire.NodeID) (list []osnet.Route) {
	for _, p := range h.prefixes {
		list = append(list, osnet.Route{Prefix: p})
	}
	for _, p := range sortedPrefixes(carriers) {
		list = append(list, osnet.Route{Prefix: p, MTU: h.mtu - siteOverhead, Optional: true})
	}
	return list
}

// setDetours keeps the underlay's datagrams out of the overlay, before the routes are there.
func (h *hostNet) setDetours(routes []osnet.Route) {
	if h.detour == nil {
		return
	}
	var about []netip.Prefix
	for _, r := range routes {
		about = append(about, r.Prefix)
	}
	interfaces, err := osnet.Detours(h.device, about)
	h.say("cannot tell which interfaces lead past the overlay", err, err != nil)
	if err == nil {
		h.detour(interfaces)
	}
}

// say warns of something when it begins, or changes.
func (h *hostNet) say(text string, why any, holds bool) {
	said := ""
	if holds {
		said = fmt.Sprint(why)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if said != h.said[text] && holds {
		h.log.Warn(text, "why", why)
	}
	h.said[text] = said
}

// warnings are the complaints that hold, as sentences.
func (h *hostNet) warnings() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range slices.Sorted(maps.Keys(h.said)) {
		if why := h.said[text]; why != "" {
			list = append(list, text+": "+why)
		}
	}
	return list
}

// start begins to follow the Core's wishes, and to stand by for the gateway addresses.
func (h *hostNet) start(ctx context.Context) error {
	if len(h.gateways) > 0 {
		gateway, err := lan.Open(ctx, h.gateways, h.log)
		if err != nil {
			return err
		}
		h.gateway = gateway
	}
	h.done.Go(h.run)
	return nil
}

func (h *hostNet) run() {
	var wanted Networks
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if firewall.Protected(h.device) {
				h.sayForward(wanted)
				continue
			}
		case n, open := <-h.latest:
			if !open {
				return
			}
			wanted = n
		case <-h.again:
			h.sayMissing(wanted)
			if h.gateway != nil {
				err := h.gateway.Refresh()
				h.say("a gateway address cannot be answered for", err, err != nil)
			}
		}
		if len(wanted.Self) == 0 {
			continue // the Core has not spoken yet
		}
		err := h.configure(wanted)
		h.complete = err == nil
		h.say("cannot set up the routes", err, err != nil)
		err = osnet.Forward(h.device, wanted.Local)
		h.say("this host does not forward for the networks behind it", err, err != nil)
		err = firewall.Protect(h.device, wanted.Self, wanted.Local)
		h.say("others on this host's networks can send to its overlay addresses past the overlay", err, err != nil)
		h.sayForward(wanted)
	}
}

// lookEvery is how often the host's packet filter is looked at: nothing tells when somebody loads other rules.
const lookEvery = 30 * time.Second

// sayForward warns of a packet filter that lets nothing through for the networks behind this node.
func (h *hostNet) sayForward(wanted Networks) {
	var drops []string
	if len(wanted.Local) > 0 {
		drops, _ = firewall.ForwardDrops(h.device) // without nftables there is nothing to see
	}
	why := fmt.Sprintf("the policy of chain %s is drop, as Docker sets it: allow it with iptables -I FORWARD -i %[2]s -j ACCEPT and "+
		"iptables -I FORWARD -o %[2]s -j ACCEPT", strings.Join(drops, ", "), h.device)
	h.say("the packet filter of this host lets nothing through for the networks behind it", why, len(drops) > 0)
}

// sayMissing tells what another program has taken from the interface, which is put back next.
func (h *hostNet) sayMissing(wanted Networks) {
	if len(wanted.Self) == 0 || !h.complete {
		return
	}
	if missing := osnet.Missing(h.device, whole(wanted.Self), h.prefixes); len(missing) > 0 {
		h.log.Warn("another program has changed the interface: it is repaired", "interface", h.device, "missing", strings.Join(missing, ", "))
	}
}

// refresh looks again at what the host has.
func (h *hostNet) refresh() {
	select {
	case h.again <- struct{}{}:
	default: // somebody will look
	}
}

// follow replaces what waits to be set up. Only the loop calls it.
func (h *hostNet) follow(n Networks) { replace(h.latest, n) }

func (h *hostNet) hold(addr netip.Addr, hold bool) {
	if h.gateway != nil {
		h.gateway.Hold(addr, hold)
	}
}

// close ends it. The loop must have ended.
func (h *hostNet) close() {
	close(h.latest)
	h.done.Wait()
	_ = firewall.Remove(h.device) // where there is no nftables there is nothing to remove
	if h.gateway != nil {
		_ = h.gateway.Close()
	}
}
