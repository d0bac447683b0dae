package main

import (
	"os"
	"testing"
)

// Every command that manages the membership says in one sentence what it lacks.
func TestMembershipCommandsRefuseInOneSentence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	words := b.path("words")
	b.must(os.WriteFile(words, []byte("correct horse battery staple\n"), 0o644))
	commands := [][]string{
		{"members"},
		{"invite", "list"},
		{"invite", "cancel", "0123"},
		{"revoke", "boston"},
		{"revoke", "boston", "--annul"},
		{"reinstate", "boston"},
		{"revoked"},
		{"admin", "grant", "boston"},
		{"admin", "withdraw", "boston"},
		{"subnet", "grant", "boston", "192.168.7.0/24"},
		{"subnet", "withdraw", "boston", "192.168.7.0/24"},
		{"leave"},
		{"leave", "--force"},
		{"root", "export", b.path("root.key"), "--passphrase-file", words},
		{"root", "forget"},
	}
	for _, args := range commands {
		b.refused(d.ctl(args...), d.socket, "overlayd up", "--socket")
	}
	d.start()
	for _, args := range commands {
		b.refused(b.run(asNobody(d.ctlCommand(args...))), d.socket, "root")
	}

	for _, c := range []struct{ args, words []string }{
		{[]string{"members", "boston"}, []string{"no argument"}},
		{[]string{"revoked", "boston"}, []string{"no argument"}},
		{[]string{"invite", "boston"}, []string{"invite takes", "list", "cancel"}},
		{[]string{"invite", "list", "boston"}, []string{"no argument"}},
		{[]string{"invite", "cancel"}, []string{"overlayctl invite list"}},
		{[]string{"invite", "cancel", "ab", "cd"}, []string{"one identifier"}},
		{[]string{"invite", "cancel", ""}, []string{"overlayctl invite list"}},
		{[]string{"invite", "cancel", "0123456789abcdef0"}, []string{"overlayctl invite list"}},
		{[]string{"invite", "cancel", "0123"}, []string{"overlayctl invite list"}},
		{[]string{"invite", "--endpoint", loopback, "--uses", "0"}, []string{"--uses", "1000"}},
		{[]string{"invite", "--endpoint", loopback, "--uses", "-3"}, []string{"--uses", "1000"}},
		{[]string{"invite", "--endpoint", loopback, "--uses", "1001"}, []string{"--uses", "1000"}},
		{[]string{"invite", "--endpoint", loopback, "--uses", "many"}, []string{"--uses", "many"}},
		{[]string{"invite", "--endpoint", loopback, "--uses", "2", "--name", "boston"}, []string{"--uses", "--name", "boston"}},
		{[]string{"invite", "--endpoint", loopback, "--name", "No Name"}, []string{"No Name"}},
		{[]string{"invite", "--endpoint", loopback, "--ttl", "0"}, []string{"--ttl"}},
		{[]string{"invite", "--endpoint", loopback, "--ttl", "-1h"}, []string{"--ttl"}},
		{[]string{"invite", "--endpoint", loopback, "--ttl", "soon"}, []string{"--ttl", "soon"}},
		{[]string{"invite", "--endpoint", loopback, "--ttl", "9999h"}, []string{"30 days"}},
		{[]string{"invite", "--endpoint", loopback, "--subnet", "banana"}, []string{"--subnet", "banana"}},
		{[]string{"invite", "--endpoint", loopback, "--subnet", "0.0.0.0/0"}, []string{"--subnet", "0.0.0.0/0"}},
		{[]string{"invite", "--endpoint", "[::1]"}, []string{"HOST:PORT"}},
		{[]string{"revoke"}, []string{"one node"}},
		{[]string{"revoke", "boston", "salem"}, []string{"one node"}},
		{[]string{"revoke", ""}, []string{"no node is named"}},
		{[]string{"revoke", "boston"}, []string{"boston", "overlayctl members"}},
		{[]string{"revoke", "belmont"}, []string{"overlayctl leave"}},
		{[]string{"reinstate"}, []string{"one node"}},
		{[]string{"reinstate", "boston"}, []string{"boston", "overlayctl revoked"}},
		{[]string{"reinstate", "belmont"}, []string{"not revoked"}},
		{[]string{"admin"}, []string{"grant", "withdraw"}},
		{[]string{"admin", "boston"}, []string{"boston", "grant", "withdraw"}},
		{[]string{"admin", "grant"}, []string{"one node"}},
		{[]string{"admin", "grant", "boston"}, []string{"boston", "overlayctl members"}},
		{[]string{"admin", "grant", "belmont"}, []string{"already"}},
		{[]string{"subnet"}, []string{"grant", "withdraw"}},
		{[]string{"subnet", "frobnicate"}, []string{"frobnicate", "grant", "withdraw"}},
		{[]string{"subnet", "grant", "boston"}, []string{"a node and a network"}},
		{[]string{"subnet", "grant", "boston", "banana"}, []string{"banana"}},
		{[]string{"subnet", "grant", "belmont", "10.71.4.0/24"}, []string{"10.71.4.0/24", "10.71.0.0/16"}},
		{[]string{"invite", "--endpoint", loopback, "--subnet", "10.71.4.0/24"}, []string{"10.71.4.0/24", "10.71.0.0/16"}},
		{[]string{"subnet", "withdraw", "belmont", "192.168.7.0/24"}, []string{"192.168.7.0/24"}},
		{[]string{"leave", "now"}, []string{"no argument"}},
		{[]string{"leave"}, []string{"root key", "--force"}},
		{[]string{"root"}, []string{"export", "restore", "forget"}},
		{[]string{"root", "frobnicate"}, []string{"frobnicate", "export"}},
		{[]string{"root", "export"}, []string{"one file"}},
		{[]string{"root", "restore"}, []string{"one file"}},
		{[]string{"root", "restore", words, "--passphrase-file", words}, []string{"overlayctl root export"}},
		{[]string{"root", "forget", "now"}, []string{"no argument"}},
		{[]string{"root", "forget"}, []string{"overlayctl root export", "--force"}},
		{[]string{"members", "--wrong"}, []string{"--wrong", "--help"}},
	} {
		b.refused(d.ctl(c.args...), c.words...)
	}
	if s := d.status(); s.Node != "belmont" || !s.Root || len(s.Members) != 1 || len(d.invites()) > 0 {
		t.Errorf("after all that the daemon is %+v", s)
	}
}
