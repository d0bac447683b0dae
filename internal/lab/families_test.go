package lab

import (
	"net"
	"testing"
	"time"
)

func TestSitesReachEachOtherByBothFamilies(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -- b: {delay: 5ms, drop: {types: 4, family: ipv6}}}")
	a, b := w.scenario.Sites[0], w.scenario.Sites[1]
	four := newExchange(t, w, a.Address, b.Address, "a", "b")
	six := newExchange(t, w, a.Address6, b.Address6, "a", "b")
	if !four.arrives(t, message(4, 100)) || !six.arrives(t, message(1, 100)) {
		t.Error("a packet that nothing drops does not arrive")
	}
	if six.arrives(t, message(4, 100)) {
		t.Error("what is dropped of IPv6 arrives")
	}
}

func TestARouterLetsOnlyAnswersOfIPv6In(t *testing.T) {
	w := worldOf(t, "founder: b\nsites: {a: {nat: masquerade}, b: {}}\nlinks: {a -- b: {delay: 5ms}}")
	a, b := w.scenario.Sites[0], w.scenario.Sites[1]
	in := newExchange(t, w, b.Address6, a.Address6, "b", "a")
	if in.arrives(t, message('x', 100)) {
		t.Error("a stranger's packet comes in")
	}
	out := newExchange(t, w, a.Address6, b.Address6, "a", "b")
	if !out.arrives(t, message('x', 100)) {
		t.Fatal("nothing goes out")
	}
	answer, err := out.to.WriteTo(message('y', 50), out.from.LocalAddr())
	if err != nil || answer != 50 {
		t.Fatal(err)
	}
	if err := out.from.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := out.from.Read(make([]byte, 100)); err != nil || n != 50 {
		t.Errorf("the answer: %d bytes, %v", n, err)
	}
}

func TestHostsHaveBridgesWithACarrier(t *testing.T) {
	w := worldOf(t, "defaults: {docker: 3}\nsites: {a: {}, b: {}}\nlinks: {a -- b: {}}")
	running := make(map[string]string)
	err := w.place("a").Do(func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			if addrs, _ := i.Addrs(); i.Flags&net.FlagRunning != 0 && len(addrs) > 0 {
				running[i.Name] = addrs[0].String()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for device, addr := range map[string]string{
		"br-lan": "192.168.0.1/24", "docker0": "172.17.0.1/16", "br-1": "172.18.0.1/16", "br-2": "172.19.0.1/16",
	} {
		if running[device] != addr {
			t.Errorf("%s has %q, want %s", device, running[device], addr)
		}
	}
}
