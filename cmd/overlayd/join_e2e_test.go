package main

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

// loopback is where a daemon in the same namespace is reached.
const loopback = "127.0.0.1:51871"

// refusesToJoin runs overlayd join with a fresh state, which must fail with one sentence and make no network.
func (b *bench) refusesToJoin(name, token string, words ...string) {
	b.Helper()
	dir := b.path("newcomer-" + name)
	b.refused(b.overlayd("join", token, "--name", name, "--state", dir), words...)
	if exists(dir + "/network") {
		b.Error("a refused join has made a network")
	}
}

func TestJoinRefusesBadTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns)
	expired := inviter.foundWithExpiredToken()
	inviter.start()
	members := len(inviter.status().Members)

	token := inviter.invite(loopback)
	b.refusesToJoin("boston", "banana", "no token", "overlayctl invite")
	b.refusesToJoin("boston", "", "no token", "overlayctl invite")
	b.refusesToJoin("boston", token[:len(token)/2], "incomplete")
	b.refusesToJoin("boston", token[:len(token)-1], "incomplete")
	b.refusesToJoin("boston", token+"A", "altered")
	for at := len("overlayd1-"); at < len(token); at += 25 {
		other := "A"
		if token[at] == 'A' {
			other = "B"
		}
		altered := token[:at] + other + token[at+1:]
		b.refusesToJoin("boston", altered, "token", "copy")
	}
	b.refusesToJoin("boston", expired, "expired", "overlayctl invite")
	if n := len(inviter.status().Members); n != members {
		t.Errorf("refused joins made %d members of %d", n, members)
	}

	// Every refusal leaves the token good, and the newcomer able to use it.
	b.works(b.overlayd("join", token, "--name", "boston", "--state", b.path("newcomer-boston")))
	b.refusesToJoin("cambridge", token, "used already", "overlayctl invite")
}

// foundWithExpiredToken makes a network in which a token was handed out two hours ago, for an hour.
func (d *service) foundWithExpiredToken() (token string) {
	d.Helper()
	d.works(d.overlayd("init", "--name", d.name, "--state", d.state))
	dir, err := state.Open(d.state)
	d.must(err)
	defer func() { _ = dir.Close() }()
	m, err := dir.Network()
	d.must(err)
	id, err := dir.Identity()
	d.must(err)
	root, err := dir.RootKey()
	d.must(err)
	cert, err := m.Network.VerifyCertificate(m.Certificate, time.Now())
	d.must(err)
	set := member.NewSet(m.Network, id, cert, mathrand.New(mathrand.NewPCG(1, 2)))
	registrar := member.NewRegistrar(set, id, root)
	then := time.Now().Add(-2 * time.Hour)
	token, signed, err := join.Invite(then, registrar, rand.Reader, member.Offer{TTL: time.Hour}, []string{loopback})
	d.must(err)
	items, err := dir.Items()
	d.must(err)
	for _, item := range signed {
		items = append(items, item.Stored())
	}
	d.must(dir.SaveItems(items))
	return token
}

func TestJoinRefusesNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns).start()
	token := inviter.invite(loopback)
	b.refusesToJoin("No-Name", token, "--name")
	b.refusesToJoin("belmont", token, "belmont", "another node", "--name")
	b.refusesToJoin("boston", inviter.invite(loopback, "--name", "cambridge"), "cambridge", "--name")
	b.refused(b.overlayd("join", token, "--state", b.path("x")), "--name")
	b.refused(b.overlayd("join", "--name", "x", "--state", b.path("x")), "token")
	b.works(b.overlayd("join", token, "--name", "boston", "--state", b.path("newcomer-boston")))
}

func TestJoinWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns).start()
	token := inviter.invite(loopback)
	inviter.stop()
	b.refusesToJoin("boston", token, "nobody answered", loopback, "overlayd runs there")

	// The same token, and the same state, do once somebody is there.
	inviter.start()
	b.works(b.overlayd("join", token, "--name", "boston", "--state", b.path("newcomer-boston")))
}

func TestJoinFindsNoSuchHost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns).start()
	b.refusesToJoin("boston", inviter.invite("no-such-host.invalid:51871"), "no-such-host.invalid:51871", "DNS")
}

func TestOnlyJoinReplacesANetworkOfOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns).start()
	boston := b.path("boston")
	b.works(b.overlayd("init", "--name", "boston", "--network", "mine", "--prefix", "10.72.0.0/16", "--state", boston))
	before := b.snapshot(boston)
	b.refused(b.overlayd("init", "--name", "boston", "--state", boston), "mine", "already", "overlayd up", "--state")
	b.unchanged(boston, before)
	b.works(b.overlayd("join", inviter.invite(loopback), "--name", "boston", "--state", boston))
	kept, err := filepath.Glob(boston + "/backup-*/network")
	b.must(err)
	if content, err := os.ReadFile(strings.Join(kept, " ")); err != nil || string(content) != before["network"] {
		t.Errorf("the backup is not what was there: %v, %v", kept, err)
	}
	before = b.snapshot(boston)
	b.refused(b.overlayd("join", inviter.invite(loopback), "--name", "boston", "--state", boston),
		"already", "overlayd up", "overlayctl leave", "--replace", "--state")
	b.unchanged(boston, before)
	b.refused(b.overlayd("init", "--name", "x", "--state", inviter.state), inviter.state, "in use", "--state")

	for _, args := range [][]string{
		{"--name", "x", "--prefix", "10.0.0.0/31"},
		{"--name", "x", "--prefix", "fd00::/64"},
		{"--name", "x", "--network", "No Name"},
		{"--name", ""},
	} {
		b.refused(b.overlayd(append([]string{"init", "--state", b.path("x")}, args...)...), args[len(args)-2])
	}
	if exists(b.path("x")) {
		t.Error("a refused init has made a state directory")
	}
}

// Who was killed between two writes can go on: whatever is left behind is whole, and the command can be repeated.
func TestAnInterruptedInitIsRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := b.path("belmont")
	b.works(b.overlayd("init", "--name", "belmont", "--state", dir))
	for _, left := range []string{"identity root records", "identity root", "identity", ""} {
		for name := range b.snapshot(dir) {
			if !strings.Contains(left, name) {
				b.must(os.Remove(dir + "/" + name))
			}
		}
		b.must(os.WriteFile(dir+"/.network123", []byte("half"), 0o600))
		b.works(b.overlayd("init", "--name", "belmont", "--state", dir))
	}
}
