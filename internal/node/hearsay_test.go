package node

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestHearsayIsCorrectedByWhatIsMeasured(t *testing.T) {
	liar, honest, other := wire.NodeID{1}, wire.NodeID{2}, wire.NodeID{3}
	h := hearsay{}
	h.learn(epoch0, []wire.NodeID{liar}, 4*ms, 204*ms)
	if got := h.of([]wire.NodeID{liar}); got != 190*ms {
		t.Errorf("the liar adds %v", got)
	}
	h.learn(epoch0, []wire.NodeID{honest, liar}, 6*ms, 206*ms) // the liar accounts for all of it
	if got := h.of([]wire.NodeID{honest}); got != 0 {
		t.Errorf("the honest one adds %v", got)
	}
	h.learn(epoch0, []wire.NodeID{other, {4}}, 40*ms, 250*ms) // who it was is not known
	if a, b := h.of([]wire.NodeID{other}), h.of([]wire.NodeID{{4}}); a != 100*ms || b != 100*ms {
		t.Errorf("two unknown ones add %v and %v", a, b)
	}
	h.learn(epoch0, []wire.NodeID{other}, 40*ms, 41*ms) // not this one
	if got := h.of([]wire.NodeID{other}); got != 0 {
		t.Errorf("cleared, it adds %v", got)
	}
	h.learn(epoch0, []wire.NodeID{liar}, 4*ms, 10*ms) // it has become better
	if got := h.of([]wire.NodeID{liar}); got != 0 {
		t.Errorf("reformed, it adds %v", got)
	}
	h.forget(epoch0.Add(hearsayFor + time.Second))
	if len(h) != 0 {
		t.Errorf("%d are kept for ever", len(h))
	}
}
