package tunnel

import (
	"sync"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

const (
	// holdFor is how long a handshake message is kept for a peer without a path: WireGuard makes a new one by then.
	holdFor = 5 * time.Second
	// repeatAfter is when a handshake message is sent once more if no session has come of it; the time doubles with each
	// of repeats. The receiver drops the second of two equal ones, by its time stamp or because the handshake is over.
	// While the first paths to a peer are only coming up, the first copies are lost as a rule.
	repeatAfter = 100 * time.Millisecond
	repeats     = 5

	maxHandshakeLen = 148 // an initiation
)

// handshake keeps the last initiation and the last response for a peer.
type handshake struct {
	mu      sync.Mutex // guards what follows
	kept    [2]keptMessage
	timer   *time.Timer
	wait    time.Duration // of the timer
	stopped bool
}

type keptMessage struct {
	data    [maxHandshakeLen]byte
	length  int
	at      wire.Stamp
	sent    wire.Stamp // the last time that it went out
	index   uint32     // of the session in use when it was made
	waiting bool       // for a path
	repeats int        // still to be sent, whenever the timer fires
}

// sendHandshake sends a message of types 1 to 3 on every path at once, since WireGuard repeats a lost initiation only
// after 5 s. Without any path it is kept until there is one.
func (p *Plane) sendHandshake(to *peer, packet []byte) {
	t := p.table.Load()
	route := t.Routes[to.id]
	if route == nil || !route.Awake {
		p.wake(to)
	}
	reachable := len(pathsOf(route)) > 0
	if packet[0] <= wire.WireGuardResponse && len(packet) <= maxHandshakeLen {
		p.keepHandshake(to, packet, !reachable) // before an answer can come
	}
	if reachable {
		p.sendEverywhere(route, packet)
		return
	}
	p.count.noPath.Add(1)
	if now := p.table.Load(); now != t {
		p.releaseHandshakes(now) // Publish came between and did not see what was kept
	}
}

// pathsOf is every path of a route, which may be nil. One that is held has none.
func pathsOf(route *fwd.Route) []*fwd.Path {
	if route == nil || route.Held {
		return nil
	}
	if primary := route.Ways[wire.DefaultTraffic].Primary; len(route.All) == 0 && primary != nil {
		return []*fwd.Path{primary}
	}
	return route.All
}

// sendEverywhere sends a packet on all paths of a route.
func (p *Plane) sendEverywhere(route *fwd.Route, packet []byte) {
	packets := [][]byte{packet}
	for i, path := range pathsOf(route) {
		if p.mayTry(route, i, packets) {
			p.transmit(path.Hop, packets)
		}
	}
}

func (p *Plane) keepHandshake(to *peer, packet []byte, waiting bool) {
	h := &to.handshake
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	k := &h.kept[packet[0]-wire.WireGuardInitiation]
	k.length = copy(k.data[:], packet)
	k.at, k.index = p.clock(), to.session.index.Load()
	p.setWaiting(k, waiting)
	k.repeats = 0
	if packet[0] == wire.WireGuardResponse {
		// The peer's initiation took the place of ours, which must not go out any more: the peer would work it off at the
		// same time as this response, and wireguard-go then gives the session another index than the one we know.
		p.setWaiting(&h.kept[0], false)
		h.kept[0].repeats = 0
	}
	if !waiting {
		k.sent, k.repeats = k.at, repeats
		p.startRepeats(to)
	}
}

// setWaiting must be called with the lock of the handshake held.
func (p *Plane) setWaiting(k *keptMessage, waiting bool) {
	switch {
	case waiting && !k.waiting:
		p.waiting.Add(1)
	case !waiting && k.waiting:
		p.waiting.Add(-1)
	}
	k.waiting = waiting
}

// startRepeats must be called with the lock of the handshake held.
func (p *Plane) startRepeats(to *peer) {
	h := &to.handshake
	h.wait = repeatAfter
	if h.timer == nil {
		h.timer = time.AfterFunc(h.wait, func() { p.repeatHandshake(to) })
	} else {
		h.timer.Reset(h.wait)
	}
}

// stop ends the timer for good and returns how many messages were waiting.
func (h *handshake) stop() (waiting int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.timer != nil {
		h.timer.Stop()
	}
	for i := range h.kept {
		if h.kept[i].waiting {
			waiting++
			h.kept[i].waiting = false
		}
	}
	return waiting
}

// responded is when the last response was sent; zero: none was.
func (h *handshake) responded() wire.Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept[1].at
}

// take returns copies of the kept messages that want says yes to. It must be called with the lock held.
func (h *handshake) take(want func(*keptMessage) bool) [][]byte {
	var messages [][]byte
	for i := range h.kept {
		if k := &h.kept[i]; want(k) {
			messages = append(messages, append([]byte(nil), k.data[:k.length]...))
		}
	}
	return messages
}

// repeatHandshake sends messages once more of which no session has come.
func (p *Plane) repeatHandshake(to *peer) {
	index, now := to.session.index.Load(), p.clock()
	h := &to.handshake
	h.mu.Lock()
	again := false
	messages := h.take(func(k *keptMessage) bool {
		if k.repeats == 0 || k.index != index || h.stopped {
			k.repeats = 0
			return false
		}
		k.repeats--
		k.sent = now
		again = again || k.repeats > 0
		return true
	})
	if again {
		h.wait *= 2
		h.timer.Reset(h.wait)
	}
	h.mu.Unlock()
	for _, m := range messages {
		p.sendEverywhere(p.table.Load().Routes[to.id], m)
	}
}

// releaseHandshakes sends what was kept for peers that have a path now, and forgets what is too old.
func (p *Plane) releaseHandshakes(t *fwd.Table) {
	now := p.clock()
	for _, to := range *p.peers.live.Load() {
		route := t.Routes[to.id]
		reachable := len(pathsOf(route)) > 0
		h := &to.handshake
		h.mu.Lock()
		messages := h.take(func(k *keptMessage) bool {
			old := now.Sub(k.at) > holdFor
			if !k.waiting || !old && !reachable {
				return false
			}
			p.setWaiting(k, false)
			if !old {
				k.sent, k.repeats = now, repeats
			}
			return !old
		})
		if len(messages) > 0 && !h.stopped {
			p.startRepeats(to)
		}
		h.mu.Unlock()
		for _, m := range messages {
			p.sendEverywhere(route, m)
		}
	}
}
