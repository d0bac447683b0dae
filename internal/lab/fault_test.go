package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
)

func TestADiskThatFailsIsSeenByDaemonsOnly(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -- b: {}}")
	if err := w.spawner.PrivateMounts(); err != nil {
		t.Fatal(err)
	}
	n := newNode(w.sites["a"], tools{}, w.spawner, t.TempDir())
	if err := n.mountDisk(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(n.stateDir(), "identity")
	write := func() error { // as what is replaced as a whole is
		return w.spawner.Do(func() error {
			if err := os.WriteFile(file+".new", make([]byte, 8192), 0o600); err != nil {
				return err
			}
			return os.Rename(file+".new", file)
		})
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the disk is mounted for everybody")
	}
	open := make(chan *os.File, 1)
	if err := w.spawner.Do(func() error {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		open <- f
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer (<-open).Close() // as a daemon holds its journal
	for _, is := range []scenario.DiskState{scenario.DiskFull, scenario.DiskReadOnly, scenario.DiskReadOnly} {
		if err := n.setDisk(is); err != nil {
			t.Fatalf("%s: %v", is, err)
		}
		if err := write(); err == nil {
			t.Errorf("a disk that is %s takes what is written", is)
		}
	}
	if err := n.setDisk(scenario.DiskWell); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("a disk that is well again: %v", err)
	}
}

func TestASiteThatMovesIsReachedAtItsNewAddresses(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -- b: {delay: 1ms}}")
	run := &trial{scenario: w.scenario, world: w, journal: judge.NewJournal(nil), epoch: time.Now()}
	before := w.scenario.Sites[1]
	for range 2 {
		if err := run.move("b"); err != nil {
			t.Fatal(err)
		}
	}
	after := before.Moved().Moved()
	a := w.scenario.Sites[0]
	if !newExchange(t, w, a.Address, after.Address, "a", "b").arrives(t, message('x', 50)) {
		t.Error("nothing arrives by IPv4")
	}
	if !newExchange(t, w, after.Address6, a.Address6, "b", "a").arrives(t, message('x', 50)) {
		t.Error("nothing leaves by IPv6")
	}
}
