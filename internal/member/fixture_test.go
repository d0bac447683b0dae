package member

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// start is the time at which tests begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// seeded is a repeatable source of bytes for keys.
func seeded(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(s)
}

// world is a network with its root key, in which tests enrol nodes.
type world struct {
	testing.TB
	random *rand.ChaCha8
	root   ed25519.PrivateKey
	net    *Network
	count  int
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{TB: t, random: seeded(seed)}
	w.root = ok(t, func() (ed25519.PrivateKey, error) { return NewRootKey(w.random) })
	w.net = ok(t, func() (*Network, error) {
		return NewNetwork(w.root, "test", netip.MustParsePrefix(DefaultPrefix), start)
	})
	return w
}

func ok[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) identity() Identity {
	return ok(w, func() (Identity, error) { return NewIdentity(w.random) })
}

// enrol issues a certificate by the root, changed by adjust if not nil.
func (w *world) enrol(id Identity, name string, adjust func(*Certificate)) *Certificate {
	w.Helper()
	return w.issue(Authority{Network: w.net, Root: w.root}, id, name, adjust)
}

func (w *world) issue(a Authority, id Identity, name string, adjust func(*Certificate)) *Certificate {
	w.Helper()
	w.count++
	want := Certificate{
		WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name,
		IPv4:         netip.AddrFrom4([4]byte{10, 71, byte(w.count >> 8), byte(w.count)}),
		Capabilities: Relay, NotBefore: start, NotAfter: start.Add(Validity), Serial: uint64(w.count),
	}
	if adjust != nil {
		adjust(&want)
	}
	return ok(w, func() (*Certificate, error) { return a.Issue(want, start) })
}

// record signs a record of a new node.
func (w *world) record(name string, sequence uint64, st Statement) (Identity, *Record) {
	w.Helper()
	id := w.identity()
	return id, w.sign(id, w.enrol(id, name, nil), sequence, st)
}

func (w *world) sign(id Identity, c *Certificate, sequence uint64, st Statement) *Record {
	w.Helper()
	return ok(w, func() (*Record, error) { return SignRecord(id, c, sequence, st) })
}

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// learnRecord is the input with one record.
func learnRecord(raw []byte) Learn { return Learn{[]Item{{Kind: KindRecord, Raw: raw}}} }

// records are the signed records in a set, sorted by node.
func records(s *Set) [][]byte {
	var list [][]byte
	for _, m := range s.Members() {
		list = append(list, m.Record.Raw())
	}
	return list
}

func seededRand(seed uint64) *rand.Rand { return rand.New(seeded(seed)) }

// prefix6 is one of many IPv6 networks.
func prefix6(i int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", 0x1000+i))
}
