package node

import (
	"runtime"
	"testing"
)

// What a node of a large network keeps in memory: everything but its contacts grows with the number of members.
func TestMemoryOfANodeAmongAThousand(t *testing.T) {
	const others = 1000
	cfg, stored, _ := among(t, others)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	core, err := NewCore(epoch0, cfg, stored)
	check(t, err)
	core.Drain(nil)
	contacts, bytes := len(core.peers), heap()-before
	t.Logf("%d KB of heap, with %d contacts; %d bytes a member", bytes>>10, contacts, bytes/others)

	// A contact costs more than a member: what else grows with the members, the difference of two sizes tells.
	if bytes/others > 6000 {
		t.Errorf("%d bytes a member, want at most 6000", bytes/others)
	}
	runtime.KeepAlive(core)
	runtime.KeepAlive(stored)
}
