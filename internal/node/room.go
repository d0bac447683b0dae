package node

import (
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
)

// Who opened a circuit to this node only its last relay says, until a frame of the opener has come through it. So
// that a relay that makes openers up keeps nobody else's circuits out
//
//   - few circuits to one peer that came by one neighbor have no such frame, and a new one takes the place of the oldest;
//   - they make room for any other, and so for those that this node opens;
//   - they are closed after a while.
//
// All others are of the peer's own making, or of this node's.
const (
	unprovenEach = 2                // circuits to one peer by one neighbor without a frame of the opener
	unprovenFor  = 10 * time.Second // until a circuit without a frame of its opener is closed
)

// unproven reports whether only a relay says that the peer opened a circuit.
func (p *path) unproven() bool { return !p.direct() && !p.initiator && !p.heard }

// makeRoom makes room at a peer for a circuit that was opened, and reports whether there is some.
func (c *Core) makeRoom(now time.Time, p *peer, out circuit.Opened) bool {
	if !out.Initiator {
		if oldest, n := p.oldestUnproven(out.FirstHop); n >= unprovenEach {
			c.closeCircuit(now, p, oldest)
		}
	}
	if _, circuits := p.count(); circuits < maxCircuits {
		return true
	}
	if oldest := p.mostUnproven(); oldest != nil {
		c.closeCircuit(now, p, oldest)
		return true
	}
	return c.dropWorstCircuit(now, p)
}

// oldestUnproven is the oldest circuit by a neighbor that has no frame of its opener, and how many there are.
func (p *peer) oldestUnproven(by wire.NodeID) (oldest *path, n int) {
	for _, q := range p.sorted() {
		if q.unproven() && q.firstHop == by {
			n++
			if oldest == nil || q.created.Before(oldest.created) {
				oldest = q
			}
		}
	}
	return oldest, n
}

// mostUnproven is the oldest such circuit by the neighbor that has most of them; nil if there is none.
func (p *peer) mostUnproven() (oldest *path) {
	most := 0
	for _, q := range p.sorted() {
		if !q.unproven() {
			continue
		}
		first, n := p.oldestUnproven(q.firstHop)
		if n > most || n == most && first.created.Before(oldest.created) {
			oldest, most = first, n
		}
	}
	return oldest
}

// dropUnproven closes the circuits of a peer that nobody has used since a relay said that they were opened.
func (c *Core) dropUnproven(now time.Time, p *peer) {
	for _, q := range p.sorted() {
		if q.unproven() && now.Sub(q.created) > unprovenFor {
			c.closeCircuit(now, p, q)
		}
	}
}
