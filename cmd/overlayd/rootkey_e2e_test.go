package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"overlayd/internal/cli"
)

// The root key moves from one node to another in a file, and does nothing while it is only there.
func TestTheRootKeyMovesInAFile(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	words, wrong, short := r.path("words"), r.path("wrong"), r.path("short")
	r.must(os.WriteFile(words, []byte("correct horse battery staple\n"), 0o600))
	r.must(os.WriteFile(wrong, []byte("correct horse battery stable\n"), 0o600))
	r.must(os.WriteFile(short, []byte("horse\n"), 0o600))
	file := r.path("root.key")
	sealed := func(command, file, words string) []string {
		return []string{"root", command, file, "--passphrase-file", words}
	}

	r.refused(boston.ctl(sealed("export", file, words)...), "root key", "boston")
	r.refused(belmont.ctl("root", "forget"), "overlayctl root export", "--force")
	r.refused(belmont.ctl(sealed("export", file, short)...), "passphrase", "8")
	r.refused(belmont.ctl(sealed("export", file, r.path("absent"))...), "absent")
	r.refused(belmont.ctl(sealed("export", r.path("no", "such", "directory"), words)...), "no/such/directory")
	if exists(file) {
		t.Fatal("a refused export has written the file")
	}
	r.says(belmont.does(sealed("export", file, words)...), file, "overlayctl root forget")
	info, err := os.Stat(file)
	r.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	text, err := os.ReadFile(file)
	r.must(err)
	r.refused(belmont.ctl(sealed("export", file, words)...), file, "not overwritten")
	if again, err := os.ReadFile(file); err != nil || string(again) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}

	r.says(belmont.does("root", "forget"), "overlayctl root restore")
	if exists(belmont.state + "/root") {
		t.Error("the root key is still there")
	}
	if s := belmont.status(); s.Root || !s.Admin {
		t.Errorf("belmont has the root key: %t, is an admin: %t", s.Root, s.Admin)
	}
	for _, args := range [][]string{
		{"admin", "grant", "boston"},
		{"admin", "withdraw", "belmont"},
		{"revoke", "boston", "--annul"},
		{"reinstate", "boston"},
		{"root", "forget"},
		sealed("export", r.path("another"), words),
	} {
		r.refused(belmont.ctl(args...), "root key")
	}
	belmont.invite(belmont.endpoint()) // it is an admin all the same
	belmont.stop()
	belmont.start()
	if belmont.status().Root {
		t.Error("belmont has the root key again")
	}

	r.refused(boston.ctl(sealed("restore", file, wrong)...), "passphrase", file)
	r.refused(boston.ctl(sealed("restore", words, words)...), words, "overlayctl root export")
	r.refused(boston.ctl(sealed("restore", r.path("absent"), words)...), "absent")
	damaged := r.path("damaged")
	r.must(os.WriteFile(damaged, text[:len(text)-20], 0o600))
	r.refused(boston.ctl(sealed("restore", damaged, words)...), damaged)
	other := r.node("salem", r.namespace()).start()
	foreign := r.path("foreign.key")
	other.does(sealed("export", foreign, words)...)
	r.refused(boston.ctl(sealed("restore", foreign, words)...), "another network", foreign)
	if boston.status().Root {
		t.Fatal("boston has a root key that was refused")
	}

	r.says(boston.does(sealed("restore", file, words)...), "boston holds the root key")
	boston.does(sealed("restore", file, words)...) // once more does no harm
	r.eventually(soon, func() error { return errors.Join(boston.isAdmin(true), belmont.takes("boston", true)) })
	boston.does("admin", "withdraw", "belmont")
	r.eventually(soon, func() error { return errors.Join(belmont.isAdmin(false), boston.takes("belmont", false)) })
	r.refused(belmont.ctl("invite", "--endpoint", belmont.endpoint()), "no admin")
	boston.does("admin", "grant", "belmont")
	r.eventually(soon, func() error { return belmont.isAdmin(true) })
	boston.stop()
	boston.start()
	if s := boston.status(); !s.Root || !s.Admin {
		t.Errorf("after a restart boston has the root key: %t, is an admin: %t", s.Root, s.Admin)
	}
	boston.does("root", "forget", "--force")
	for _, s := range append(sites, &site{service: other}) {
		if strings.Contains(s.log(), "horse") {
			t.Errorf("the log of %s has the passphrase", s.name)
		}
	}
}

// Who is in the group of the socket may look and use, and changes neither the membership nor anybody's rights: not even on
// the node that holds the root key.
func TestTheSocketsGroupDoesNotChangeTheMembership(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	words, file := r.path("words"), r.path("root.key")
	r.must(os.WriteFile(words, []byte("correct horse battery staple\n"), 0o644))
	r.refused(r.run(asNobody(belmont.ctlCommand("members"))), "root")
	info, err := os.Stat(belmont.socket) // where there is no group overlayd, the socket is of root's
	r.must(err)
	as := func(args ...string) result {
		cmd := asNobody(belmont.ctlCommand(args...))
		cmd.SysProcAttr.Credential.Gid = info.Sys().(*syscall.Stat_t).Gid
		return r.run(cmd)
	}
	sealed := r.path("sealed")
	belmont.does("root", "export", sealed, "--passphrase-file", words)
	r.must(os.Chmod(sealed, 0o644))
	r.works(as("members"))
	r.works(as("status"))
	r.works(as("invite", "list"))
	r.works(as("route", "hops", "2"))
	for _, args := range [][]string{
		{"invite", "--endpoint", belmont.endpoint()},
		{"invite", "cancel", "ab"},
		{"revoke", "belmont"},
		{"reinstate", "belmont"},
		{"admin", "grant", "belmont"},
		{"admin", "withdraw", "belmont"},
		{"subnet", "grant", "belmont", "192.168.7.0/24"},
		{"leave", "--force"},
		{"root", "export", file, "--passphrase-file", words},
		{"root", "restore", sealed, "--passphrase-file", words},
		{"root", "forget", "--force"},
	} {
		got := as(args...)
		r.refused(got, "root", "sudo")
		if got.status != cli.ExitPermission {
			t.Errorf("%v: exit status %d", args, got.status)
		}
	}
	r.works(as("down"))
	belmont.start()
	if !belmont.status().Root || exists(file) {
		t.Error("the root key is gone")
	}
}
