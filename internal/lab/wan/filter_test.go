package wan

import "testing"

// fates sends some packets over a link and returns what became of each, in their order.
func fates(t *testing.T, link Link, packets ...Header) []Fate {
	t.Helper()
	n := NewNetwork[[]byte](2, 1)
	n.SetLink(0, 0, 1, link)
	for i, h := range packets {
		n.Send(0, 0, 1, h, packetOf(1, byte(i)))
	}
	all := make([]Fate, len(packets))
	for _, r := range drain(t, n) {
		all[r.Data[0]] = r.Fate
	}
	return all
}

func TestAFilterDropsWhatItNamesAndNothingElse(t *testing.T) {
	small, large := Header{Size: 200, Content: Transport}, Header{Size: 1201, Content: Transport}
	probe, initiation := Header{Size: 200, Content: Control}, Header{Size: 176, Content: Initiation}
	labeled, unreachable := Header{Size: 200, Content: Labeled}, Header{Size: 56, Content: ICMPError}
	packets := []Header{small, large, probe, initiation, labeled, unreachable}
	for _, c := range []struct {
		name   string
		filter Filter
		passes []bool
	}{
		{"nothing", Filter{}, []bool{true, true, true, true, true, true}},
		{"larger", Filter{Larger: 1200}, []bool{true, false, true, true, true, true}},
		{"larger, at the bound", Filter{Larger: 1201}, []bool{true, true, true, true, true, true}},
		{"type 4", Filter{Contents: Of(Transport)}, []bool{false, false, true, true, true, true}},
		{"control frames", Filter{Contents: Of(Control)}, []bool{true, true, false, true, true, true}},
		{"ICMP errors", Filter{Contents: Of(ICMPError)}, []bool{true, true, true, true, true, false}},
		{"UDP", Filter{Contents: AllUDP}, []bool{false, false, false, false, false, true}},
		{"everything", Filter{Contents: Everything}, make([]bool, 6)},
	} {
		for i, fate := range fates(t, Link{Drop: [Families]Filter{IPv4: c.filter}}, packets...) {
			if want := map[bool]Fate{true: Delivered, false: Filtered}[c.passes[i]]; fate != want {
				t.Errorf("%s: %+v is %v, want %v", c.name, packets[i], fate, want)
			}
		}
	}
}

func TestEachFamilyHasItsFilter(t *testing.T) {
	link := Link{Drop: [Families]Filter{IPv6: {Contents: Of(Transport)}}}
	got := fates(t, link, Header{Size: 200, Content: Transport}, Header{Size: 200, Content: Transport, IPv6: true})
	if got[0] != Delivered || got[1] != Filtered {
		t.Errorf("got %v", got)
	}
}

func TestAPacketAboveTheMTUIsToldOfUnlessTheLinkIsMute(t *testing.T) {
	packets := []Header{{Size: 1280}, {Size: 1281}}
	if got := fates(t, Link{MTU: 1280}, packets...); got[0] != Delivered || got[1] != TooLarge {
		t.Errorf("got %v", got)
	}
	if got := fates(t, Link{MTU: 1280, Mute: true}, packets...); got[0] != Delivered || got[1] != Filtered {
		t.Errorf("mute: got %v", got)
	}
}
