package lan

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAGatewayBelongsToTheInterfaceOfItsNetwork(t *testing.T) {
	of := func(index int, name string, up bool, addrs ...string) iface {
		i := iface{attachment: attachment{index: index, name: name, mac: MAC{2, 0, 0, 0, 0, byte(index)}}, up: up}
		for _, a := range addrs {
			i.addrs = append(i.addrs, netip.MustParsePrefix(a))
		}
		return i
	}
	overlay := of(1, "overlay0", true, "10.71.0.1/32", "10.0.0.1/8")
	overlay.mac = MAC{} // it is no Ethernet
	ifaces := []iface{
		overlay,
		of(2, "eth0", true, "10.0.0.2/8", "2001:db8:7::2/64", "fe80::2/64"),
		of(3, "eth1", true, "10.1.0.3/16", "10.1.7.3/24", "fe80::3/64"),
		of(4, "wlan0", false, "10.2.0.4/16"), of(5, "wlan1", true, "10.2.0.5/16"),
	}
	for gateway, want := range map[string]string{
		"10.1.7.1": "eth1", "10.1.0.1": "eth1", "10.3.0.1": "eth0", "10.2.0.1": "wlan1", "2001:db8:7::1": "eth0",
		"fe80::1%eth1": "eth1",
	} {
		at, err := attach(ifaces, netip.MustParseAddr(gateway))
		if err != nil || at.name != want {
			t.Errorf("%s belongs to %q, %v; want %s", gateway, at.name, err, want)
		}
	}
	for gateway, want := range map[string]error{
		"192.168.7.1": ErrNoLAN, "2001:db8:8::1": ErrNoLAN, "fe80::1": ErrZone, "fe80::1%eth9": ErrNoLAN,
		"10.71.0.1": ErrOwn, "10.1.7.3": ErrOwn, "fe80::3%eth1": ErrOwn,
	} {
		if _, err := attach(ifaces, netip.MustParseAddr(gateway)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", gateway, err, want)
		}
	}
	at, _ := attach(ifaces, netip.MustParseAddr("10.1.7.1"))
	if len(at.networks) != 2 || at.networks[0].String() != "10.1.0.0/16" || at.networks[1].String() != "10.1.7.0/24" {
		t.Errorf("hosts of %v are answered", at.networks)
	}
}
