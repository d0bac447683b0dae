package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/netns"
	"overlayd/internal/lab/scenario"
)

// lanDevice is the device by which a node or a host is on its LAN.
const lanDevice = "lan0"

// addLAN connects the nodes of a LAN and its hosts by a bridge in a namespace of its own.
//
//	host ─lan0─┐            ┌─lan0─ node a ─wan0─
//	host ─lan0─┴── bridge ──┴─lan0─ node b ─wan0─
func (w *world) addLAN(l scenario.LAN, keep bool) error {
	bridge, err := w.namespace(l.Name+"-lan", keep)
	if err != nil {
		return err
	}
	if err := bridge.AddBridge("bridge0", emulator.MTU); err != nil {
		return err
	}
	plugged := 0
	plug := func(name string, ns *netns.Namespace) error {
		plugged++
		port := fmt.Sprintf("port%d", plugged)
		return errors.Join(
			netns.Connect(ns, lanDevice, bridge, port, emulator.MTU),
			bridge.AddPort("bridge0", port),
			ns.AddAddress(lanDevice, netip.PrefixFrom(l.Address(name), l.Subnet.Bits())),
		)
	}
	for _, name := range l.Nodes {
		if err := plug(name, w.sites[name].host); err != nil {
			return err
		}
	}
	for _, name := range l.Hosts {
		host, err := w.namespace(name, keep)
		if err != nil {
			return err
		}
		if err := plug(name, host); err != nil {
			return err
		}
		if err := host.AddRoute(lanDevice, netns.DefaultRoute(), l.Exit()); err != nil {
			return err
		}
		w.hosts[name] = host
	}
	return nil
}

// place is the namespace of a node or a host.
func (w *world) place(name string) *netns.Namespace {
	if host := w.hosts[name]; host != nil {
		return host
	}
	return w.sites[name].host
}

// invitation is what overlayctl invite is told of the node that is to join.
func (t *trial) invitation(name string) []string {
	args := []string{"--name", name}
	if l := t.scenario.LANOf(name); l != nil {
		args = append(args, "--subnet", l.Subnet.String())
	}
	return args
}

// lanArguments are what overlayd up is told of the LAN that a node is on.
func (t *trial) lanArguments(name string) []string {
	l := t.scenario.LANOf(name)
	if l == nil {
		return nil
	}
	args := []string{"--subnets", l.Subnet.String()}
	if l.Gateway.IsValid() {
		args = append(args, "--gateway", l.Gateway.String())
	}
	return args
}

// gatewayOf is the node that answers for the gateway address of a LAN now: the first host sends to it.
func (t *trial) gatewayOf(lan string) (string, error) {
	at := slices.IndexFunc(t.scenario.LANs, func(l scenario.LAN) bool { return l.Name == lan })
	l := t.scenario.LANs[at]
	station, err := t.world.place(l.Hosts[0]).Neighbor(l.Gateway)
	if err != nil {
		return "", err
	}
	for _, name := range l.Nodes {
		own, err := t.world.place(name).HardwareAddress(lanDevice)
		if err != nil {
			return "", err
		}
		if bytes.Equal(own, station) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no node of %s answers for %v; %s knows it at %v", lan, l.Gateway, l.Hosts[0], station)
}
