package lan

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

func frameOf(t testing.TB, text string) []byte {
	t.Helper()
	frame, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestFramesOnTheWire(t *testing.T) {
	asked := Message{Station: host, Source: netip.MustParseAddr("192.168.7.10"), Asks: gateway4}
	asked6 := Message{Station: host, Source: netip.MustParseAddr("2001:db8:7::10"), Asks: gateway6}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"an announcement is a request for one's own address": {
			AppendAnnouncement(nil, us, gateway4),
			`ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c0a80701 000000000000 c0a80701`,
		},
		"answer": {
			AppendAnswer(nil, us, asked),
			`02000000000a 020000000001 0806 0001 0800 06 04 0002 020000000001 c0a80701 02000000000a c0a8070a`,
		},
		"a question names no sender": {
			AppendQuestion(nil, us, gateway4),
			`ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0a80701`,
		},
		"an unsolicited advertisement of a router that overrides": {
			AppendAnnouncement(nil, us, gateway6),
			`333300000001 020000000001 86dd 60000000 0020 3a ff 20010db8000700000000000000000001
			ff020000000000000000000000000001 88 00 791c a0000000 20010db8000700000000000000000001 02 01 020000000001`,
		},
		"a solicited one": {
			AppendAnswer(nil, us, asked6),
			`02000000000a 020000000001 86dd 60000000 0020 3a ff 20010db8000700000000000000000001
			20010db8000700000000000000000010 88 00 0a50 e0000000 20010db8000700000000000000000001 02 01 020000000001`,
		},
		"a question for duplicates": {
			AppendQuestion(nil, us, gateway6),
			`3333ff000001 020000000001 86dd 60000000 0018 3a ff 00000000000000000000000000000000
			ff0200000000000000000001ff000001 87 00 4ce6 00000000 20010db8000700000000000000000001`,
		},
	} {
		if want := frameOf(t, c.want); string(c.got) != string(want) {
			t.Errorf("%s:\n%x, want\n%x", name, c.got, want)
		}
	}
}

// spoil is a good frame with one thing wrong.
func spoil(frame []byte, offset int, value byte) []byte {
	frame[offset] = value
	return frame
}

func TestMalformedFramesAreRefused(t *testing.T) {
	arp := func() []byte { return AppendAnnouncement(nil, other, gateway4) }
	advert := func() []byte { return AppendAnnouncement(nil, other, gateway6) }
	question := func() []byte { return AppendQuestion(nil, other, gateway6) }
	const icmp = ethernetLen + ipv6Len
	for what, frame := range map[string][]byte{
		"nothing": nil, "short ARP": arp()[:41], "short advertisement": advert()[:77],
		"another type": spoil(arp(), 12, 9), "from a group": spoil(arp(), 6, 1), "sender is a group": spoil(arp(), 22, 1),
		"other hardware": spoil(arp(), 15, 6), "other protocol": spoil(arp(), 17, 1), "operation": spoil(arp(), 21, 3),
		"sender's address is a group": spoil(arp(), 28, 224),
		"IPv4":                        spoil(advert(), 14, 0x40), "next header": spoil(advert(), 20, 17), "from beyond": spoil(advert(), 21, 254),
		"longer than it is": spoil(advert(), 19, 33), "too short for the message": spoil(advert(), 19, 23),
		"checksum": spoil(advert(), icmp+2, 1), "code": spoil(advert(), icmp+1, 1), "a router advertisement": spoil(advert(), icmp, 134),
		"solicited, but to all":        fix(spoil(advert(), icmp+4, 0xe0)),
		"an option without length":     fix(spoil(advert(), icmp+ndLen+1, 0)),
		"an option beyond the end":     fix(spoil(advert(), icmp+ndLen+1, 2)),
		"an option with a group":       fix(spoil(advert(), icmp+ndLen+2, 1)),
		"a target that is a group":     fix(spoil(advert(), icmp+8, 0xff)),
		"a question to another group":  fix(spoil(question(), ethernetLen+39, 2)),
		"an answer from a group":       fix(spoil(advert(), ethernetLen+8, 0xff)),
		"a question with half a frame": question()[:icmp],
	} {
		if m, err := Parse(frame); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", what, m, err)
		}
	}
	for what, frame := range map[string][]byte{
		"padding": append(arp(), make([]byte, 18)...), "padding after IPv6": append(advert(), 1, 2, 3),
		"an option that nobody knows": fix(spoil(advert(), icmp+ndLen, 253)),
	} {
		if m, err := Parse(frame); err != nil || m.Station != other {
			t.Errorf("%s: %+v, %v", what, m, err)
		}
	}
}

// fix puts the right checksum into a frame with IPv6.
func fix(frame []byte) []byte {
	packet := frame[ethernetLen:]
	body := packet[ipv6Len:]
	body[2], body[3] = 0, 0
	sum := checksum(netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:])), body)
	body[2], body[3] = byte(sum>>8), byte(sum)
	return frame
}

func TestOnlyFramesAboutTheAddressWakeTheProcess(t *testing.T) {
	near4, near6 := netip.MustParseAddr("192.168.7.2"), netip.MustParseAddr("2001:db8:7::2")
	for _, gateway := range []netip.Addr{gateway4, gateway6} {
		vm, err := bpf.NewVM(filter(gateway)[2:]) // the VM does not know for whom a frame is
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, gateway)
		neighbor := map[bool]netip.Addr{true: near4, false: near6}[gateway.Is4()]
		for what, c := range map[string]struct {
			frame []byte
			pass  bool
		}{
			"announcement":           {AppendAnnouncement(nil, other, gateway), true},
			"question":               {AppendQuestion(nil, other, gateway), true},
			"request":                {b.request(host, neighbor).Frame, true},
			"announcement of others": {AppendAnnouncement(nil, other, neighbor), false},
			"question for others":    {AppendQuestion(nil, other, neighbor), false},
			"short":                  {AppendAnnouncement(nil, other, gateway)[:20], false},
		} {
			if n, err := vm.Run(c.frame); err != nil || (n > 0) != c.pass {
				t.Errorf("%v, %s: passes %d bytes, %v", gateway, what, n, err)
			}
		}
	}
}

func FuzzResponder(f *testing.F) {
	for _, gateway := range []netip.Addr{gateway4, gateway6} {
		f.Add(AppendAnnouncement(nil, other, gateway))
		f.Add(AppendQuestion(nil, other, gateway))
		f.Add(AppendAnswer(nil, other, Message{Station: host, Source: gateway, Asks: gateway}))
		f.Add((&bench{r: &Responder{addr: gateway}}).request(host, gateway.Next()).Frame)
	}
	networks := []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("2001:db8:7::/64")}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) >= ethernetLen+ipv6Len+ndLen && frame[12] == 0x86 {
			fix(frame) // or hardly any would get beyond the checksum
		}
		m, err := Parse(frame)
		for _, gateway := range []netip.Addr{gateway4, gateway6} {
			for _, hold := range []bool{false, true} {
				r := NewResponder(DefaultConfig(), gateway, us, networks)
				if hold {
					_ = r.Step(begin, Hold{})
				}
				_ = r.Step(begin.Add(10*time.Second), Tick{})
				r.Drain(nil)
				if got := r.Step(begin.Add(10*time.Second), Received{frame}); got != err {
					t.Fatalf("Step: %v, Parse: %v", got, err)
				}
				for _, out := range r.Drain(nil) {
					send, ok := out.(Send)
					if !ok {
						continue
					}
					if said, err := Parse(send.Frame); err != nil || said.Claims != gateway || said.Station != us {
						t.Fatalf("it says %x", send.Frame)
					}
					if !hold || m.Asks != gateway && m.Claims != gateway {
						t.Fatalf("it speaks though nobody has asked: %x", send.Frame)
					}
				}
			}
		}
	})
}
