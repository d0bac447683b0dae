package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/state"
)

// A disk that is full or read-only keeps the daemon neither from starting nor from working.
func TestDaemonRunsWhereNothingCanBeStored(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"read-only", "full"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			d := b.node("belmont", b.ns)
			d.state = b.path("disk")
			d.tolerates = `level=ERROR msg="cannot (store|keep|write)`
			b.must(os.Mkdir(d.state, 0o700))
			b.must(unix.Mount("none", d.state, "tmpfs", 0, "size=256k,mode=700"))
			t.Cleanup(func() { _ = unix.Unmount(d.state, unix.MNT_DETACH) })
			b.works(b.overlayd("init", "--name", "belmont", "--state", d.state))
			ballast := d.state + "/backup-ballast"
			if kind == "full" {
				b.must(os.Mkdir(ballast, 0o700))
				for i := 0; os.WriteFile(ballast+"/"+strconv.Itoa(i), make([]byte, 4096), 0o600) == nil; i++ {
					continue
				}
			} else {
				b.must(unix.Mount("none", d.state, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			}

			d.start()
			s := d.status()
			if s.Node != "belmont" || !strings.Contains(s.Unstored, "memory") || !strings.Contains(s.Unstored, d.state) {
				t.Errorf("it does not say that it runs from memory: %q", s.Unstored)
			}
			b.must(d.logs("runs from memory", "forgets", d.state))
			b.refused(d.ctl("route", "hops", "2"), "this was done", d.state)
			if rules := d.does("route", "list"); !strings.Contains(rules, "hop") {
				t.Errorf("the rule does not hold: %s", rules)
			}
			d.stop()
			d.start() // and again
			if kind == "full" {
				b.must(os.RemoveAll(ballast))
			} else {
				b.must(unix.Mount("none", d.state, "", unix.MS_REMOUNT, ""))
			}
			d.does("route", "hops", "2")
			if s := d.status(); s.Unstored != "" {
				t.Errorf("it still says %q", s.Unstored)
			}
			d.stop()
		})
	}
}

// killRounds is how often a test kills what writes; OVERLAYD_KILLS asks for more.
func killRounds(t *testing.T, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("OVERLAYD_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return usual / 3
	}
	return usual
}

// What is killed at any time of its start or work is the same node when it starts again.
func TestKilledDaemonIsTheSameNode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns).start()
	before := d.status()
	token := d.invite(loopback)
	rounds := killRounds(t, 15)
	for round := range rounds {
		if round%3 == 0 { // while it runs; otherwise while it starts
			d.process.Kill()
		} else {
			d.process.Kill()
			p, err := b.spawner.Start(d.ns, d.command("overlayd", d.flags()...))
			b.must(err)
			<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
			p.Kill()
		}
		d.start()
		s := d.status()
		if s.ID != before.ID || s.NetworkID != before.NetworkID || s.Node != before.Node || !s.Root {
			t.Fatalf("round %d: the node is %s %s of %s", round, s.Node, s.ID, s.NetworkID)
		}
		d.invite(loopback) // it writes
		if n := len(d.invites()); n != round+2 {
			t.Fatalf("round %d: %d invitations are left of %d", round, n, round+2)
		}
	}
	if log := d.log(); strings.Contains(log, "level=WARN") {
		t.Errorf("in %d rounds something was damaged:\n%s", rounds, log)
	}
	boston := b.path("boston")
	b.works(b.overlayd("join", token, "--name", "boston", "--state", boston)) // of before all that
}

// An init that is killed at any time is repeated, with the keys that it had made.
func TestKilledInitIsRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for round := range killRounds(t, 60) {
		path := b.path("state" + strconv.Itoa(round))
		p, err := b.spawner.Start(b.ns, b.command("overlayd", "init", "--name", "belmont", "--state", path))
		b.must(err)
		<-time.After(time.Duration(rand.IntN(60)) * time.Millisecond)
		p.Kill()
		identity := identityIn(t, path)
		r := b.overlayd("init", "--name", "belmont", "--state", path)
		if r.status != 0 && !strings.Contains(r.stderr, "already") {
			t.Fatalf("round %d: %v", round, r)
		}
		if again := identityIn(t, path); again == "" || identity != "" && again != identity {
			t.Fatalf("round %d: identity %q became %q", round, identity, again)
		}
	}
}

// identityIn is the identifier of the node of a state directory; empty if it has none.
func identityIn(t *testing.T, path string) string {
	t.Helper()
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	id, err := dir.Identity()
	if err != nil {
		return ""
	}
	return id.ID().String()
}
