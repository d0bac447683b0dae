package node

import (
	"time"

	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// An address that a member publishes, tells, or sends from may be anybody's. Until its owner has echoed a probe, little is
// sent there: control frames, for each member and for all together, and bytes of WireGuard for each member.
const (
	trialFrames, trialFramesAtOnce = 10, 80 // a second and at once, to all such addresses of one member
	trialTotal, trialTotalAtOnce   = 400, 4000
	trialBytes, trialBytesAtOnce   = 1536, 16 << 10

	// Of the frames at once so many are kept for the first few on each path: every endpoint has its turn, however much
	// those before it were tried.
	trialReserve, firstFrames = 36, 3
)

// trials bounds what is sent to addresses that never answered.
type trials struct {
	total bucket
	bad   uint64 // frames that were not sent
}

func newTrials() trials { return trials{total: bucket{rate: trialTotal, depth: trialTotalAtOnce}} }

// trial is the part of one member.
type trial struct {
	frames bucket
	bytes  *fwd.Budget // of WireGuard, drawn from by the data plane
}

func newTrial() trial {
	return trial{
		frames: bucket{rate: trialFrames, depth: trialFramesAtOnce},
		bytes:  fwd.NewBudget(trialBytes, trialBytesAtOnce),
	}
}

// mayTry reports whether a control frame may go out on a path of a peer. Half of the total is kept for members that this
// node has picked, or that data flows to.
func (c *Core) mayTry(now time.Time, p *peer, q *path) bool {
	if !q.direct() || p.state(q.id) != probe.Candidate {
		return true
	}
	if q.frames >= firstFrames && p.trial.frames.peek(now) < trialReserve || !p.trial.frames.take(now) {
		c.trials.bad++
		return false
	}
	total := &c.trials.total
	if kept := p.picked || p.near || !p.use.ours.IsZero(); !kept && total.peek(now) < total.depth/2 || !total.take(now) {
		c.trials.bad++
		return false
	}
	q.frames++
	return true
}
