package node

import (
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/blackhole"
	duplicates "overlayd/internal/duplicate"
	"overlayd/internal/member"
	"overlayd/internal/rotation"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// Bounds on what is kept about one peer.
const (
	maxDirectPaths = 8
	maxCircuits    = 8
	maxNominees    = 16
)

// activity is how much a peer is in use (D8).
type activity uint8

const (
	idle   activity = iota // no data for minutes
	recent                 // data within minutes
	active                 // data within seconds
)

const (
	activeFor = 10 * time.Second
	recentFor = 2 * time.Minute
	checkRate = time.Second // how often an active peer's counters are looked at
	// A WireGuard keepalive is an empty transport message of this length: it is not use.
	keepaliveLen = 32
)

// peer is everything about one other member.
type peer struct {
	id       wire.NodeID
	member   member.Member
	heard    time.Time       // when a fresh frame last came from it
	picked   bool            // by this node, as one of its contacts
	claims   wire.NodeID     // the neighbour that says that this peer opened a circuit, until a frame of its own proves it; or zero
	near     bool            // one of the nearest
	pinned   bool            // a user pinned the path to it
	sought   bool            // it was visited since it may be near
	load     uint8           // as a relay, as it says: 255 is at its ceiling
	toldAt   time.Time       // when it last said so
	fullAt   time.Time       // when it last said that it was full
	hop      probe.Rate      // the least for its direct paths: it relays what this node sends
	hopCheck time.Time       // when its direct paths were last probed for the sake of circuits
	beside   probe.Rate      // the least for its selected path: it stands beside a member that data flows to, or beside us
	frames   bucket          // that it may send
	trial    trial           // what may be sent to addresses of it that never answered
	runs     duplicates.Runs // in which it was heard

	prober   *probe.Prober
	choices  choices
	paths    map[wire.PathID]*path
	list     []*path // the same, by number
	lastPath wire.PathID

	endpoints rotation.Endpoints // that are tried, or wait for it
	turn      time.Time          // when the next one may have its turn; zero: none waits

	budget   *fwd.Budget // of copies while there is trouble
	critical *fwd.Budget // of copies of critical packets
	auditing *fwd.Budget // of copies for audits
	audit    audit
	left     audit // a path that was left for losing data
	holes    blackhole.Tracker
	sizes    *blackhole.Sizes
	entry    *entry // in the last forwarding table
	stale    bool   // it is out of date

	use      usage
	reported reported
	meeting  meeting
	relays   nominations

	onSite   time.Time // when it was last reached on a network that this node advertises too
	due      time.Time // agenda
	place    int
	touched  bool
	outdated bool      // the selectors must see the latest measurements now
	chosenAt time.Time // when they last did
	chooseAt time.Time // when they must again at the latest; zero: nothing has changed
}

// usage is when data last flowed to or from the peer.
type usage struct {
	level     activity
	ours      time.Time // data that we sent or received
	theirs    time.Time // the peer's word that it is active
	nextCheck time.Time
}

// meeting is the contact with the peer, before and beside measurement.
type meeting struct {
	met        bool      // a path has been up
	renewed    bool      // it uses a WireGuard session of this run of ours
	busySince  time.Time // when the peer first said that it is active
	untold     bool      // it is to be told our endpoints, but there is no path yet
	lastHello  time.Time // when we last answered a frame that was not fresh, from an address that no path has
	lastReplay time.Time // when we last answered one that was seen before
	reset      bool      // the clock went back: the peer has not said yet that it has forgotten the session
	resetAsked time.Time // when it was last asked to
	resetDone  time.Time // when this node last forgot it on the peer's word
	tookOver   bool      // this node took a newer epoch, and has not heard the peer in it yet
}

// path is a path to a peer as the control loop sees it.
type path struct {
	fwd     *fwd.Path
	id      wire.PathID
	created time.Time
	rate    probe.Rate

	endpoint netip.AddrPort // direct only
	frames   int            // direct only: sent to it before it answered
	heard    bool           // an authenticated frame of the peer came from the endpoint, or through the circuit

	circuit   wire.CircuitID // relayed only
	via       []wire.NodeID
	firstHop  wire.NodeID
	receive   wire.Label // what the first hop puts in front of frames to us
	initiator bool

	lookedPackets, lookedBytes uint64 // data, when the use of the peer was last looked at

	lastCount uint64        // data packets when the use of this circuit was last looked at
	lastUse   time.Time     // and when that had grown
	lastHello time.Time     // when we last answered a frame that was not fresh
	audited   time.Time     // when the latest audit of it ended
	auditGap  time.Duration // from then to the next one, if it stands by
	doubted   time.Time     // relayed only: since when data on it seems to be dropped; zero: it does not
	judged    time.Time     // relayed only: when the evidence was last looked at
}

func (p *path) direct() bool { return p.circuit == 0 }

// packets counts the data packets of a path, both ways.
func (p *path) packets() uint64 {
	return p.fwd.Counters.TxPackets.Load() + p.fwd.Counters.RxPackets.Load()
}

func (p *path) bytes() uint64 {
	return p.fwd.Counters.TxBytes.Load() + p.fwd.Counters.RxBytes.Load()
}

// route is the selection for the default class of traffic.
func (p *peer) route() *pathselect.Selection { return &p.choices.list[0].route }

// answered reports whether data has been sent to the peer.
func (p *peer) answered() bool {
	for _, q := range p.paths {
		if q.fwd.Counters.TxPackets.Load() > 0 {
			return true
		}
	}
	return false
}

// sorted lists the paths by number. The list is never changed: another one takes its place.
func (p *peer) sorted() []*path { return p.list }

// add and remove keep the list of paths.
func (p *peer) add(q *path) {
	p.paths[q.id] = q
	at, _ := slices.BinarySearchFunc(p.list, q.id, func(a *path, id wire.PathID) int { return int(a.id) - int(id) })
	p.list = slices.Insert(slices.Clone(p.list), at, q)
}

func (p *peer) remove(q *path) {
	delete(p.paths, q.id)
	p.list = slices.DeleteFunc(slices.Clone(p.list), func(a *path) bool { return a == q })
}

// state is the state of a path, Dead for one that is gone.
func (p *peer) state(id wire.PathID) probe.State {
	state, _, _ := p.prober.Link(id)
	return state
}

// leastRate is that of a path over which nothing flows: who picked the other one probes it.
func (p *peer) leastRate() probe.Rate {
	if p.picked || p.near || p.pinned {
		return probe.Idle
	}
	return probe.Quiet
}

// link is the direct path that serves best as a link to a neighbour: up before anything else, then the shortest
// round-trip time. Nil if there is none.
func (p *peer) link() (best *path, state probe.State) {
	var rtt time.Duration
	for _, q := range p.list {
		if !q.direct() {
			continue
		}
		qs, qrtt, ok := p.prober.Link(q.id)
		if !ok {
			continue
		}
		if better := linkRank(qs) - linkRank(state); best == nil || better < 0 || better == 0 && qrtt < rtt {
			best, state, rtt = q, qs, qrtt
		}
	}
	return best, state
}

// bestDirect is link with all that is measured of it.
func (p *peer) bestDirect(now time.Time) (*path, probe.Measurement) {
	q, _ := p.link()
	if q == nil {
		return nil, probe.Measurement{}
	}
	m, _ := p.prober.Measure(q.id, now)
	return q, m
}

func linkRank(s probe.State) int {
	switch s {
	case probe.Up:
		return 0
	case probe.Suspect:
		return 1
	case probe.Dead:
		return 2
	default:
		return 3
	}
}

// reachable reports whether a direct path is up.
func (p *peer) reachable() bool {
	_, state := p.link()
	return state == probe.Up || state == probe.Suspect
}

// speakingPath is the path for control messages: the selected one, or else any that may work. Nil if there is none.
func (p *peer) speakingPath() *path {
	if q := p.paths[p.route().Selected]; q != nil && p.state(q.id) == probe.Up {
		return q
	}
	var best *path
	rank := linkRank(probe.Dead)
	for _, q := range p.sorted() {
		if r := linkRank(p.state(q.id)); r < rank {
			best, rank = q, r
		}
	}
	return best
}

// byVia finds the circuit through exactly these relays.
func (p *peer) byVia(via []wire.NodeID) *path {
	for _, q := range p.sorted() {
		if !q.direct() && slices.Equal(q.via, via) {
			return q
		}
	}
	return nil
}

// byCircuit finds the path of a circuit.
func (p *peer) byCircuit(id wire.CircuitID) *path {
	for _, q := range p.sorted() {
		if !q.direct() && q.circuit == id {
			return q
		}
	}
	return nil
}

// byEndpoint finds the direct path to an underlay address.
func (p *peer) byEndpoint(socket uint8, endpoint netip.AddrPort) *path {
	for _, q := range p.paths {
		if q.direct() && q.fwd.Hop.Socket == socket && q.endpoint == endpoint {
			return q
		}
	}
	return nil
}

// expectedOn is the path that a datagram came on, if there is one already.
func (p *peer) expectedOn(in Datagram) *path {
	if in.Path != nil {
		return p.paths[in.Path.ID]
	}
	return p.byEndpoint(in.Socket, in.From)
}

// count tells how many direct paths and circuits there are.
func (p *peer) count() (direct, circuits int) {
	for _, q := range p.paths {
		if q.direct() {
			direct++
		} else {
			circuits++
		}
	}
	return direct, circuits
}
