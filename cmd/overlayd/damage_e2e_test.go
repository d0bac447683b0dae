package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

// damages are what may happen to a file.
func damages(whole []byte) map[string][]byte {
	flipped := bytes.Clone(whole) // the other kinds of damage are tried in package state
	flipped[len(flipped)*2/3] ^= 4
	return map[string][]byte{
		"emptied":     {},
		"truncated":   whole[:len(whole)*2/3],
		"bit flipped": flipped,
		"zeroed":      make([]byte, len(whole)),
	}
}

// A damaged file is restored from its copy, or done without: the daemon starts, is the same node, and says what it found.
func TestOneDamagedFileChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns).start()
	d.invite(loopback)
	before := d.status()
	d.stop()
	for _, name := range []string{"identity", "network", "records", "epoch"} {
		path := filepath.Join(d.state, name)
		whole, err := os.ReadFile(path)
		d.must(err)
		for kind, bad := range damages(whole) {
			d.must(os.WriteFile(path, bad, 0o600))
			d.must(os.Remove(d.logFile()))
			d.start()
			s := d.status()
			if s.ID != before.ID || s.Node != before.Node || s.NetworkID != before.NetworkID || len(d.invites()) != 1 {
				t.Errorf("%s, %s: the node is %s %s of %s now", name, kind, s.Node, s.ID, s.Network)
			}
			d.stop()
			kept := onlyMatch(t, path+".damaged-*")
			if content, err := os.ReadFile(kept); err != nil || !bytes.Equal(content, bad) {
				t.Errorf("%s, %s: not kept as it was: %v", name, kind, err)
			}
			if log := d.log(); !strings.Contains(log, path) || !strings.Contains(log, kept) {
				t.Errorf("%s, %s: not said in the log:\n%s", name, kind, log)
			}
			d.must(os.Remove(kept))
		}
	}
}

// Where no good copy is left, the daemon says which file is damaged and what to do. After that is done, it works.
func TestDamagedStateIsKeptAndExplained(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns).start()
	d.stop()
	for _, f := range []struct {
		name   string
		advice []string
		follow func(path string, whole []byte) // what a person does
	}{
		{"identity", []string{"restore it from a backup", "overlayd reset", "overlayd join"}, d.restore},
		{"network", []string{"restore it from a backup", "overlayd reset", "overlayd join"}, d.restore},
		{"root", []string{"remove it to go on"}, func(path string, _ []byte) { d.must(os.Remove(path)) }},
	} {
		path := filepath.Join(d.state, f.name)
		whole, err := os.ReadFile(path)
		d.must(err)
		for kind, bad := range damages(whole) {
			d.must(os.WriteFile(path, bad, 0o600))
			if f.name != "root" {
				d.must(os.WriteFile(path+".copy", bad, 0o600))
			}
			before := d.snapshot(d.state)
			r := d.run(d.command("overlayd", d.flags()...))
			d.refused(r, append(f.advice, path)...)
			if r.status != cli.ExitConfig {
				t.Errorf("%s, %s: exit status %d, with which systemd starts it again", f.name, kind, r.status)
			}
			if f.name == "network" { // what makes a network must not take it for an absent one
				d.refused(d.overlayd("init", "--name", "belmont", "--state", d.state), append(f.advice, path)...)
			}
			d.unchanged(d.state, before)
			f.follow(path, whole)
			d.start()
			if s := d.status(); s.Node != "belmont" || len(s.Members) != 1 {
				t.Errorf("%s, %s: after the advice was followed the daemon is %+v", f.name, kind, s)
			}
			d.stop()
			d.must(os.WriteFile(path, whole, 0o600))
			for _, kept := range matches(t, path+"*.damaged-*") {
				d.must(os.Remove(kept))
			}
		}
	}
}

func (b *bench) restore(path string, whole []byte) { b.must(os.WriteFile(path, whole, 0o600)) }

func matches(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func onlyMatch(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %v, %v", pattern, found, err)
	}
	return found[0]
}

// A clock may show anything when a machine starts: a certificate that has ended, by that clock, is used and told of.
func TestUpStartsWithAnExpiredCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	dir, err := state.Open(d.state)
	b.must(err)
	f, err := newFounding("belmont", "overlay", "10.71.0.0/16")
	b.must(err)
	_, err = found(dir, f, time.Now().Add(-2*member.AdminValidity))
	b.must(err)
	b.must(dir.Close())
	d.tolerates = `(?m)^.*the certificate of this node ended.*$`
	d.start()
	b.eventually(15*time.Second, func() error {
		if log := d.log(); !strings.Contains(log, "the certificate of this node ended on") || !strings.Contains(log, "start an admin") {
			return fmt.Errorf("the log says %s", log)
		}
		return nil
	})
}

// A member that has lost its identity, or its certificate, joins again as the sentence says.
func TestDamagedMemberJoinsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inviter := b.node("belmont", b.ns).start()
	for file, node := range map[string]string{"identity": "boston", "network": "cambridge"} {
		d := b.node(node, b.namespace())
		b.works(b.overlayd("join", inviter.invite(loopback), "--name", node, "--state", d.state))
		for _, name := range []string{file, file + ".copy"} {
			b.must(os.WriteFile(filepath.Join(d.state, name), []byte("overlayd"), 0o600))
		}
		b.refused(b.run(b.command("overlayd", d.flags()...)), filepath.Join(d.state, file), "overlayd reset", "overlayd join")
		b.works(b.overlayd("reset", "--yes", "--state", d.state))
		// the old name belongs to the keys that are lost
		b.works(b.overlayd("join", inviter.invite(loopback), "--name", node+"-2", "--state", d.state))
		d.start().stop()
	}
}

func TestCtlRefusesInOneSentence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	for _, args := range [][]string{{"status"}, {"peers"}, {"paths"}, {"ping", "boston"}, {"invite"}, {"down"}} {
		b.refused(d.ctl(args...), d.socket, "overlayd up", "--socket")
	}
	d.start()
	for _, args := range [][]string{
		{"paths", "atlantis"}, {"ping", "atlantis"}, {"ping", "10.71.9.9"}, {"paths", "belmont"},
	} {
		b.refused(d.ctl(args...), args[1], "overlayctl peers")
	}
	b.refused(d.ctl("invite", "--ttl", "1s", "--endpoint", loopback), "token")
	b.refused(d.ctl("invite", "--endpoint", "nowhere"), "HOST:PORT")
	b.refused(d.ctl("invite", "--name", "belmont", "--endpoint", loopback), "belmont")
	b.refused(d.ctl("frobnicate"), "frobnicate")
	b.refused(d.ctl("-o", "xml", "status"), "xml")
	b.refused(d.ctl("ping"), "ping")
	for _, args := range [][]string{{"status"}, {"down"}} {
		b.refused(b.run(asNobody(d.ctlCommand(args...))), d.socket, "root")
	}

	boston := b.node("boston", b.namespace())
	b.works(b.overlayd("join", d.invite(loopback), "--name", "boston", "--state", boston.state))
	boston.start()
	b.refused(boston.ctl("invite", "--endpoint", loopback), "no admin", "overlayctl members")
	b.refused(d.ctl("ping", "boston", "--via", "atlantis"), "atlantis")
	if r := d.ctl("ping", "boston", "--count", "1"); r.status != cli.ExitNoPath || !strings.Contains(r.stdout, "no path") {
		t.Errorf("ping to a peer that cannot be reached: %v", r)
	}
	if _, err := d.client.Paths(t.Context(), control.PathsQuery{}); err != nil {
		t.Errorf("after all that the daemon answers %v", err)
	}
	b.works(d.ctl("down"))
	if err := d.process.Err(); err != nil {
		t.Errorf("down: %v", err)
	}
}
