package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

// asUnit is overlayd up as systemd starts it.
func (d *service) asUnit() *exec.Cmd {
	cmd := d.command("overlayd", d.flags("--create-network", "never")...)
	cmd.Env = append(cmd.Env, "INVOCATION_ID=0123456789abcdef0123456789abcdef")
	return cmd
}

// A host that joins while the network is down is a member as soon as its unit is started with the network there. Until
// then the unit fails in a way that systemd repeats, and makes no network of its own.
func TestJoinWhileTheNetworkIsDown(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	boston := r.site("boston")
	token := belmont.invite(belmont.endpoint())
	r.must(r.router.Block(belmont.at, boston.at))

	refused := boston.join(token)
	r.refused(refused, "nobody answered", "overlayd up", "overlayd reset")
	if refused.status != cli.ExitFailed {
		t.Errorf("exit status %d", refused.status)
	}
	up := boston.here().run(boston.asUnit())
	r.refused(up, "nobody answered", "overlayd reset")
	if up.status != cli.ExitFailed {
		t.Errorf("exit status %d, after which systemd may not start it again", up.status)
	}

	r.must(r.router.Unblock())
	boston.startCommand(boston.asUnit())
	r.meet(belmont, boston)
	if s := boston.status(); s.NetworkID != belmont.status().NetworkID || s.Node != "boston" {
		t.Errorf("boston is %s of %s", s.Node, s.Network)
	}
	if strings.Contains(boston.log(), token) || exists(boston.state+"/pending") {
		t.Error("the token is in the log, or still stored")
	}
}

// A host that is attached to a network inside the overlay's prefix is told so at every step, with a way out.
func TestPrefixThatOverlapsAnAttachedNetwork(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	boston := r.site("boston")
	r.must(boston.ns.AddAddress("eth0", netip.MustParsePrefix("10.71.5.1/24")))

	r.refused(boston.here().overlayd("init", "--name", "boston", "--state", boston.state), "10.71.5.0/24 (eth0)", "10.71.0.0/16", "--prefix 10.72.0.0/16")
	r.refused(boston.here().run(boston.command("overlayd", boston.flags()...)), "10.71.5.0/24 (eth0)", "overlayd init --prefix 10.72.0.0/16")
	joined := boston.join(belmont.invite(belmont.endpoint()))
	r.works(joined)
	if !strings.Contains(joined.stderr, "10.71.5.0/24 (eth0)") || !strings.Contains(joined.stderr, "IPv6") {
		t.Errorf("join does not warn: %v", joined)
	}
	boston.start()
	r.must(boston.logs("10.71.5.0/24 (eth0)"))
	r.meet(belmont, boston)
}

// A node that has lost all that it knew of the members learns it again before it trusts anybody, and so who was revoked.
func TestLostRecordsDoNotLoseARevocation(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	ear, from := cambridge.isHeardBy(boston, readyPatience), cambridge.ipv4()

	belmont.does("revoke", "cambridge")
	r.eventually(outWithin, func() error { return boston.holdsOut("cambridge") })
	revoked := cambridge.status().ID
	boston.stop()
	heard := ear.of(from).n
	for _, file := range matches(t, filepath.Join(boston.state, "records*")) {
		r.must(os.WriteFile(file, []byte("garbage"), 0o600))
	}
	boston.start()
	r.must(boston.logs("records", "learns the members"))
	r.eventually(readyPatience, func() error {
		list, err := boston.client.Revoked(t.Context())
		if err == nil && !slices.ContainsFunc(list, func(r control.Revoked) bool { return r.ID == revoked }) {
			err = fmt.Errorf("boston does not know that %s was revoked", revoked)
		}
		return errors.Join(err, boston.lists("belmont", "boston"))
	})
	ear.goesQuiet(r.bench, from, quietFor)
	if n := ear.of(from).n - heard; n > 0 {
		t.Errorf("boston heard %d datagrams of cambridge, which is revoked", n)
	}
}

// The exit status tells what is wrong.
func TestExitStatusesOfTheDaemonsCommands(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.site("belmont")
	for want, args := range map[int][]string{
		cli.ExitNotRunning: {"status"},
		cli.ExitUsage:      {"paths", "a", "b"},
	} {
		if got := belmont.ctl(args...); got.status != want {
			t.Errorf("%v: exit status %d, want %d", args, got.status, want)
		}
	}
	belmont.start()
	boston := r.site("boston")
	boston.joins(belmont)
	boston.start()
	r.meet(belmont, boston)
	if got := belmont.ctl("paths", "boston"); got.status != cli.ExitOK {
		t.Errorf("paths to a peer that is up: %v", got)
	}
	if got := belmont.run(asNobody(belmont.ctlCommand("status"))); got.status != cli.ExitPermission {
		t.Errorf("as nobody: %v", got)
	}
	for _, args := range [][]string{{"paths", "atlantis"}, {"ping", "atlantis"}, {"invite", "cancel", "0123"}} {
		if got := belmont.ctl(args...); got.status != cli.ExitUnknown {
			t.Errorf("%v: exit status %d", args, got.status)
		}
	}
	boston.stop()
	r.eventually(readyPatience, func() error {
		if p := belmont.paths()["boston"]; p.State != control.StateDead {
			return errors.New("boston is " + string(p.State))
		}
		return nil
	})
	for _, args := range [][]string{{"paths", "boston"}, {"ping", "boston", "-c", "1", "--timeout", "200ms"}} {
		if got := belmont.ctl(args...); got.status != cli.ExitNoPath {
			t.Errorf("%v of a peer that has ended: exit status %d", args, got.status)
		}
	}
}
