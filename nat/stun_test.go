package nat

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

var (
	client4 = netip.MustParseAddrPort("192.0.2.1:32853")
	client6 = netip.MustParseAddrPort("[2001:db8::7]:32853")
	txID    = TransactionID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
)

func build(t testing.TB, setters ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.NewTransactionIDSetter(txID)}, setters...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func padding(n int) stun.RawAttribute {
	return stun.RawAttribute{Type: stun.AttrPadding, Length: uint16(n), Value: make([]byte, n)}
}

func TestOwnRequestIsAnsweredWithTheAddressSeen(t *testing.T) {
	for _, from := range []netip.AddrPort{client4, client6} {
		request := AppendSTUNRequest([]byte("x"), txID)[1:]
		answer, ok := AnswerSTUN([]byte("y"), request, from)
		if !ok || answer[0] != 'y' {
			t.Fatalf("no answer to %v", from)
		}
		if len(answer)-1 > len(request) {
			t.Errorf("%d bytes answer %d", len(answer)-1, len(request))
		}
		seen, id, err := ParseSTUNResponse(answer[1:])
		if err != nil || seen != from || id != txID {
			t.Errorf("read %v, %x, %v; want %v", seen, id, err, from)
		}
	}
}

func TestMappedAddressIsIPv4ForAnIPv4Client(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(client4.Addr().As16()), client4.Port())
	answer, _ := AnswerSTUN(nil, AppendSTUNRequest(nil, txID), mapped)
	if seen, _, err := ParseSTUNResponse(answer); err != nil || seen != client4 {
		t.Errorf("read %v, %v; want %v", seen, err, client4)
	}
}

func TestRequestsThatGetNoAnswer(t *testing.T) {
	good := AppendSTUNRequest(nil, txID)
	change := stun.RawAttribute{Type: stun.AttrChangeRequest, Length: 4, Value: make([]byte, 4)}
	badFingerprint := build(t, stun.BindingRequest, padding(40), stun.Fingerprint)
	badFingerprint[len(badFingerprint)-1] ^= 1
	for name, request := range map[string][]byte{
		"empty":              nil,
		"too short to pad":   build(t, stun.BindingRequest),
		"a response":         build(t, stun.BindingSuccess, padding(40)),
		"an indication":      build(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), padding(40)),
		"another method":     build(t, stun.NewType(stun.MethodAllocate, stun.ClassRequest), padding(40)),
		"with a username":    build(t, stun.BindingRequest, stun.NewUsername("a:b"), padding(40)),
		"asking for another": build(t, stun.BindingRequest, change, padding(40)),
		"bad fingerprint":    badFingerprint,
		"early fingerprint":  build(t, stun.BindingRequest, stun.Fingerprint, padding(40)),
		"truncated":          good[:len(good)-4],
		"trailing bytes":     append(bytes.Clone(good), 0, 0, 0, 0),
		"huge":               build(t, stun.BindingRequest, padding(1000)),
	} {
		if answer, ok := AnswerSTUN(nil, request, client4); ok || len(answer) != 0 {
			t.Errorf("%s: answered with %x", name, answer)
		}
	}
	if _, ok := AnswerSTUN(nil, good, netip.AddrPort{}); ok {
		t.Error("answered nobody")
	}
}

func TestPaddingNeedsToCoverTheAnswer(t *testing.T) {
	short := build(t, stun.BindingRequest, padding(8)) // 32 bytes: enough for IPv4 only
	if _, ok := AnswerSTUN(nil, short, client4); !ok {
		t.Error("32 bytes pay for an IPv4 answer")
	}
	if _, ok := AnswerSTUN(nil, short, client6); ok {
		t.Error("32 bytes do not pay for an IPv6 answer")
	}
}

func TestRequestOfAnotherClientIsAnswered(t *testing.T) {
	request := build(t, stun.BindingRequest, stun.NewSoftware("somebody else's"), padding(16), stun.Fingerprint)
	if _, ok := AnswerSTUN(nil, request, client6); !ok {
		t.Error("no answer to a good request with software and fingerprint")
	}
}

func TestResponsesThatAreNotRead(t *testing.T) {
	for name, b := range map[string][]byte{
		"a request":  AppendSTUNRequest(nil, txID),
		"no address": build(t, stun.BindingSuccess),
		"a short address": build(t, stun.BindingSuccess,
			stun.RawAttribute{Type: stun.AttrXORMappedAddress, Length: 8, Value: []byte{0, 2, 0, 0, 1, 2, 3, 4}}),
		"an odd family": build(t, stun.BindingSuccess,
			stun.RawAttribute{Type: stun.AttrXORMappedAddress, Length: 8, Value: []byte{0, 9, 0, 0, 1, 2, 3, 4}}),
		"garbage": []byte("hello"),
	} {
		if ap, _, err := ParseSTUNResponse(b); !errors.Is(err, ErrSTUN) {
			t.Errorf("%s: read %v, %v", name, ap, err)
		}
	}
}

func FuzzAnswerSTUN(f *testing.F) {
	f.Add(AppendSTUNRequest(nil, txID), true)
	f.Add(build(f, stun.BindingRequest, stun.NewSoftware("x"), padding(40), stun.Fingerprint), false)
	f.Add(build(f, stun.BindingSuccess, &stun.XORMappedAddress{IP: client4.Addr().AsSlice(), Port: 9}), false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		from := client4
		if six {
			from = client6
		}
		answer, ok := AnswerSTUN(nil, b, from)
		if !ok {
			return
		}
		seen, id, err := ParseSTUNResponse(answer)
		if err != nil || seen != from || !bytes.Equal(id[:], b[8:20]) || len(answer) > len(b) {
			t.Fatalf("%x is answered with %x: %v, %v", b, answer, seen, err)
		}
		if _, again := AnswerSTUN(nil, answer, from); again {
			t.Fatal("an answer is answered")
		}
	})
}

func FuzzParseSTUNResponse(f *testing.F) {
	answer, _ := AnswerSTUN(nil, AppendSTUNRequest(nil, txID), client6)
	f.Add(answer)
	answer, _ = AnswerSTUN(nil, AppendSTUNRequest(nil, txID), client4)
	f.Add(answer)
	f.Fuzz(func(t *testing.T, b []byte) {
		if ap, _, err := ParseSTUNResponse(b); err == nil && (!ap.IsValid() || ap.Addr().Is4In6()) {
			t.Fatalf("read %v", ap)
		}
	})
}
