// Package node is one running overlayd: the Core decides, the Node acts.
//
// The Core (pure, D11) owns the cores of the packages below, one of each or one a peer, and maps their types to each
// other. It has no socket, goroutine, lock or clock; the simulator runs it as it is.
//
//	          Datagram, Wake, Tick …                           Send, Publish, AddPeer …
//	                    │                                                ▲
//	┌───────────────────▼────────────────────────────────────────────────┴───────────────┐
//	│ Core     seal ▶ message ─┬─▶ member.Set      who exists                             │
//	│                          ├─▶ circuit.Machine labels through relays                  │
//	│                          ├─▶ nat.Gatherer    where we are   nat.Puncher  NATs       │
//	│                          └─▶ peer: probe.Prober ─▶ pathselect.Selector ─▶ fwd.Table │
//	└─────────────────────────────────────────────────────────────────────────────────────┘
//
// The Node is the one goroutine that steps the Core and carries out what it wants: on the data plane (package tunnel),
// on the disk (internal/state), for the API (internal/control).
package node

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"overlayd/internal/blame"
	"overlayd/internal/circuit"
	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/routeguard"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// CoreConfig is what a Core is made from.
type CoreConfig struct {
	Network     *member.Network
	Identity    member.Identity
	Certificate *member.Certificate
	Root        ed25519.PrivateKey // the network's root key; nil on most nodes
	Epoch       uint64             // larger than that of any run before
	Sockets     []netip.AddrPort   // the local ones; their index is fwd.Hop.Socket
	Configured  []netip.AddrPort   // endpoints to publish besides those found
	Contact     Contact            // tried besides what that member publishes
	Relay       member.Consent
	Ceiling     uint64         // bits a second that are relayed for others at most; zero: no bound
	Copies      uint64         // bits a second of critical packets that go to a peer twice; zero: 2 million
	Subnets     []netip.Prefix // behind this node, advertised as far as its certificate allows
	Gateways    []netip.Addr   // addresses on attached LANs that one of the nodes there answers for
	Labels      map[string]string
	Probe       probe.Config
	Select      pathselect.Config
	Algorithm   pathselect.Algorithm                       // nil: pathselect.Default
	Algorithms  map[wire.TrafficClass]pathselect.Algorithm // for classes of traffic that are to have another one
	Shadow      pathselect.Algorithm                       // runs beside Algorithm, and moves nothing; nil: none
	Rules       []policy.Rule                              // that users made for paths
	Seed        [32]byte                                   // of schedules and choices
	Secret      io.Reader                                  // of keys, nonces, labels: a cryptographic source in production
	Keys        *seal.Memory                               // shared by the cores of a simulation; nil in production
	Version     string                                     // of this build, for people
	Speech      Speech                                     // of a hostile member in the lab; nil in production
}

// Contact is where a member was reached in an earlier run.
type Contact struct {
	Node     wire.NodeID
	Endpoint netip.AddrPort
}

// Core is all that a node decides. It belongs to one goroutine.
type Core struct {
	cfg    CoreConfig
	self   wire.NodeID
	origin time.Time
	now    time.Time // of the present step
	random *rand.Rand
	secret rand.Source // of what nobody else may guess

	box       *seal.Box
	members   *member.Set
	registrar *member.Registrar
	door      *join.Door
	circuits  *circuit.Machine
	gatherer  *nat.Gatherer
	puncher   *nat.Puncher
	stun      *nat.Answerer
	ledger    *blame.Ledger

	known     map[wire.NodeID]member.Key // the members that this node would deal with
	roster    bool                       // they, or what they say, have changed
	quiet     bool                       // nobody is told of changes
	warned    time.Time                  // when a person was last told that the certificate ends
	attended  time.Time                  // when the Core last looked for what is to be signed
	attending map[wire.NodeID]time.Time  // since when it knows
	catchup   catchup

	peers       map[wire.NodeID]*peer // the contacts
	order       []wire.NodeID         // of peers, sorted
	picked      int                   // of them
	agenda      agenda
	trouble     trouble
	burden      burden // of this node, as a relay
	hopsChanged bool   // others may be relays in use
	touched     []*peer
	relaying    map[wire.CircuitID]*relayed
	ceiling     *fwd.Budget   // of all that is relayed; nil: none
	swept       time.Time     // when the Core last looked for what is not in use
	hellos      bucket        // to members without contact
	outcasts    []wire.NodeID // whose frames are still opened, for what the root says in them
	outside     bucket        // of such frames
	astray      bucket        // Hellos to addresses that no path has
	trials      trials
	queries     bucket    // for routes, of all neighbors
	pleaded     time.Time // when members that do not answer were last told what the root says

	networks        networks
	networksChanged bool
	advertisers     map[wire.NodeID]bool // members with networks behind them
	warnings        warnings

	host      routeguard.Host  // its interfaces, as last told
	local     []netip.Addr     // of this host, at which others may reach it, and that do not come and go
	damper    nat.Damper       // of them
	steadyAt  time.Time        // when one more counts; zero: none waits
	endpoints []netip.AddrPort // where this node can be reached, as published
	dirty     bool             // the forwarding table is out of date
	fresh     *fwd.Table       // to be published
	tabled    tabled
	pings     pings
	explorer  explorer
	hearsay   hearsay
	uplinks   uplinks
	rules     rules
	refused   refusals
	takeovers takeovers
	duplicate duplicate
	clock     clock
	builds    builds
	told      told

	out        []Output
	probeOut   []probe.Output
	selectOut  []pathselect.Output
	blamed     []blame.Change
	memberOut  []member.Output
	circuitOut []circuit.Output
	natOut     []nat.Output
	punchOut   []nat.Output
}

// NewCore makes the core of a node that starts at now with what earlier runs stored of the members.
func NewCore(now time.Time, cfg CoreConfig, stored [][]byte) (*Core, error) {
	random := rand.New(rand.NewChaCha8(cfg.Seed))
	private, _ := cfg.Identity.PrivateKeys()
	self := cfg.Identity.ID()
	box, err := seal.New(self, cfg.Network.ID, private, cfg.Epoch, cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if cfg.Keys != nil {
		box.Share(cfg.Keys)
	}
	secret := readerSource{cfg.Secret}
	c := &Core{
		cfg: cfg, self: self, origin: now, now: now, random: random, secret: secret, box: box,
		members:     member.NewSet(cfg.Network, cfg.Identity, cfg.Certificate, random),
		circuits:    circuit.New(self, circuit.DefaultConfig(), rand.New(secret)),
		gatherer:    nat.NewGatherer(gathererConfig()),
		puncher:     nat.NewPuncher(nat.DefaultPuncherConfig()),
		stun:        nat.NewAnswerer(),
		ledger:      blame.New(),
		advertisers: make(map[wire.NodeID]bool),
		known:       make(map[wire.NodeID]member.Key), attending: make(map[wire.NodeID]time.Time),
		peers:    make(map[wire.NodeID]*peer),
		relaying: make(map[wire.CircuitID]*relayed),
		explorer: newExplorer(), uplinks: make(uplinks), hearsay: make(hearsay),
		takeovers: make(takeovers), builds: newBuilds(), told: make(told),
		dirty: true, swept: now, attended: now, hellos: bucket{rate: strangerHellos, depth: strangerHellos},
		outside: bucket{rate: outsideFrames, depth: outsideFrames},
		rules:   loadRules(now, cfg.Rules),
		networks: networks{
			carriers: make(map[netip.Prefix]*carrier), holding: make(map[netip.Addr]bool), refused: make(map[netip.Prefix]refusedRoute),
		},
		warnings: make(warnings),
		trials:   newTrials(),
		queries:  bucket{rate: queriesOfAll, depth: queriesOfAll},
		astray:   bucket{rate: astrayHellos, depth: astrayHellos},
	}
	c.registrar = member.NewRegistrar(c.members, cfg.Identity, cfg.Root)
	c.door = join.NewDoor(c.members, c.registrar, cfg.Secret, cfg.Version)
	if cfg.Ceiling > 0 {
		rate := float64(cfg.Ceiling) / 8
		c.ceiling = fwd.NewBudget(rate, max(rate/4, ceilingBurst))
	}
	c.step(c.circuits.Step(now, circuit.SetRelay{Allowed: c.relaysForOthers()}))
	c.quiet = true // what was known before is no news
	c.step(c.members.Step(now, member.Load{Items: stored}))
	c.memberChanges(now)
	c.quiet = false
	if own, ok := c.members.Get(c.self); ok {
		c.endpoints = own.Record.Endpoints // until something else is found: a restart is no news
	}
	c.warnOfRules()
	c.publishSelf(now)
	if len(cfg.Configured) > 0 {
		c.step(c.gatherer.Step(now, nat.Configured{Addrs: cfg.Configured}))
	}
	c.settle(now)
	return c, nil
}

// readerSource makes a rand.Source of a stream of bytes, so that labels, nonces and tokens are as unguessable as the stream.
type readerSource struct{ io.Reader }

// Uint64 is the next 64 bits. A cryptographic source that fails leaves nothing safe to do.
func (r readerSource) Uint64() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(r.Reader, b[:]); err != nil {
		panic(fmt.Sprintf("random source: %v", err))
	}
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// Stamp is t on this node's clock. It is never zero.
func (c *Core) Stamp(t time.Time) wire.Stamp { return stamp(c.origin, t) }

func stamp(origin, t time.Time) wire.Stamp { return wire.Stamp(max(t.Sub(origin), 0) + 1) }

func (c *Core) timeOf(s wire.Stamp) time.Time { return c.origin.Add(time.Duration(s) - 1) }

// Step takes one input at the time now, which never goes back.
func (c *Core) Step(now time.Time, in Input) error {
	c.now = now
	switch in := in.(type) {
	case Datagram:
		c.datagram(now, in)
	case UnknownLabel:
		if c.peers[in.From] != nil {
			c.step(c.circuits.Step(now, circuit.UnknownLabel{From: in.From, Label: in.Label}))
		}
	case Wake:
		if p := c.contact(now, in.Peer); p != nil {
			c.wake(now, p)
		}
	case UplinkFound:
		c.foundUplink(in)
	case LocalAddresses:
		c.askUplinksAgain()
		c.host, c.networksChanged = in.Host, true
		c.warnOfOverlap()
		c.localAddresses(now, in.Addrs)
	case WallClock:
		c.wallClockSet(now, in.Offset)
	case Shutdown:
		for _, id := range c.order {
			c.say(now, c.peers[id], wire.KindBye, nil)
		}
	case Tick:
		c.tick(now)
	default:
		return fmt.Errorf("node: input %T is not known", in)
	}
	c.settle(now)
	return nil
}

// NextDeadline is when Step wants a Tick.
func (c *Core) NextDeadline() (time.Time, bool) {
	var next time.Time
	found := false
	consider := func(t time.Time, ok bool) {
		if ok && (!found || t.Before(next)) {
			next, found = t, true
		}
	}
	if p := c.agenda.first(); p != nil {
		consider(p.due, true)
	}
	consider(c.members.NextDeadline())
	consider(c.circuits.NextDeadline())
	consider(c.gatherer.NextDeadline())
	consider(c.puncher.NextDeadline())
	consider(c.ledger.NextDeadline())
	consider(c.swept.Add(sweepEvery), true)
	consider(c.catchup.deadline())
	if expires, ok := c.rules.set.NextDeadline(); ok {
		consider(expires.Add(-c.clock.offset), true)
	}
	consider(c.gatewaysDue())
	consider(c.takeovers.deadline())
	consider(c.steadyAt, !c.steadyAt.IsZero())
	consider(c.networks.doubt, !c.networks.doubt.IsZero())
	if c.registrar.May(c.attended) {
		consider(member.NextAttend(c.attended), true)
	}
	return next, found
}

// Drain appends what is to be done to dst and forgets it. The forwarding table comes first: a label that a frame tells
// somebody of must mean something before the answer is back.
func (c *Core) Drain(dst []Output) []Output {
	if c.fresh != nil {
		dst = append(dst, Publish{Table: c.fresh})
		c.fresh = nil
	}
	dst = append(dst, c.out...)
	clear(c.out)
	c.out = c.out[:0]
	return dst
}

// ceilingBurst is the least number of bytes that are relayed at once under a ceiling.
const ceilingBurst = 64 << 10

// sweepEvery is how often the Core looks for what is not in use any more. It is well below the life time of circuits.
const sweepEvery = 10 * time.Second

// tick does whatever is due.
func (c *Core) tick(now time.Time) {
	if now.Sub(c.swept) >= sweepEvery {
		c.swept = now
		c.hearsay.forget(now)
		c.reportUse(now)
		for _, id := range c.order {
			c.dropCandidates(now, c.peers[id])
			c.dropUnproven(now, c.peers[id])
		}
		c.reviewContacts(now)
		c.plead(now)
		c.warnOfEnd(now)
		c.networksChanged = true
	}
	if due, ok := c.gatewaysDue(); ok && !due.After(now) {
		c.networks.waited, c.networksChanged = true, true
	}
	if !c.steadyAt.IsZero() && !c.steadyAt.After(now) {
		c.settleAddresses(now)
	}
	if doubt := c.networks.doubt; !doubt.IsZero() && !doubt.After(now) {
		c.networksChanged = true
	}
	c.expireRules(now)
	c.takeOver(now)
	if c.catchup.tick(now) {
		c.outdateAll()
	}
	if !now.Before(member.NextAttend(c.attended)) {
		c.attend(now)
	}
	for p := c.agenda.first(); p != nil && !p.due.After(now); p = c.agenda.first() {
		c.agenda.remove(p)
		c.step(p.prober.Step(now, probe.Tick{}))
		for _, ch := range p.choices.list {
			c.step(ch.selector.Step(now, pathselect.Tick{}))
		}
		if p.use.level != idle && !p.use.nextCheck.After(now) {
			c.checkUse(now, p)
		}
		if !p.turn.IsZero() && !p.turn.After(now) {
			c.takeTurns(now, p)
		}
		if !p.relays.due.IsZero() && !p.relays.due.After(now) {
			c.nominate(now, p)
		}
		if at, some := p.sizes.NextDeadline(); some && !at.After(now) {
			p.outdated = true
		}
		if !p.chooseAt.IsZero() && !p.chooseAt.After(now) || now.Sub(p.chosenAt) >= chooseIdle {
			p.outdated = true
		}
		c.touch(p)
	}
	if due, ok := c.members.NextDeadline(); ok && !due.After(now) {
		c.step(c.members.Step(now, member.Tick{}))
	}
	if due, ok := c.circuits.NextDeadline(); ok && !due.After(now) {
		c.step(c.circuits.Step(now, circuit.Tick{}))
	}
	if due, ok := c.gatherer.NextDeadline(); ok && !due.After(now) {
		c.step(c.gatherer.Step(now, nat.Tick{}))
	}
	if due, ok := c.ledger.NextDeadline(); ok && !due.After(now) {
		c.ledger.Tick(now)
		c.tellTrust(now)
	}
	if due, ok := c.puncher.NextDeadline(); ok && !due.After(now) {
		c.step(c.puncher.Step(now, nat.Tick{}))
	}
}

// settle lets the cores work off what they have for each other, then publishes.
func (c *Core) settle(now time.Time) {
	for again := true; again; {
		again = c.memberChanges(now)
		again = c.circuited(now) || again
		again = c.gathered(now) || again
		again = c.punched(now) || again
		for len(c.touched) > 0 {
			again = true
			p := c.touched[len(c.touched)-1]
			c.touched = c.touched[:len(c.touched)-1]
			p.touched = false
			for c.probed(now, p) || c.choose(now, p) {
			}
			if c.peers[p.id] == p {
				c.agenda.set(p, c.dueOf(p))
			}
		}
		if c.networksChanged {
			again = true
			c.reviewNetworks(now)
		}
		if c.hopsChanged {
			again = true
			c.reviewHops(now)
		}
	}
	if c.dirty {
		c.dirty = false
		c.fresh = c.table(now)
	}
}

// dueOf is when the peer needs attention next.
func (c *Core) dueOf(p *peer) time.Time {
	due := p.use.nextCheck
	if p.use.level == idle {
		due = c.origin.Add(100 * 365 * 24 * time.Hour)
	}
	if t, ok := p.prober.NextDeadline(); ok {
		due = earlier(due, t)
	}
	for _, ch := range p.choices.list {
		if t, ok := ch.selector.NextDeadline(); ok {
			due = earlier(due, t)
		}
	}
	if !p.relays.due.IsZero() {
		due = earlier(due, p.relays.due)
	}
	if !p.chooseAt.IsZero() {
		due = earlier(due, p.chooseAt)
	}
	if !p.turn.IsZero() {
		due = earlier(due, p.turn)
	}
	if p.audit.path != 0 {
		due = earlier(due, p.audit.until)
	}
	if at, some := p.sizes.NextDeadline(); some && p.use.level == active {
		due = earlier(due, later(at, c.now.Add(leastWait)))
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// leastWait keeps what waits for an answer from being looked at without end.
const leastWait = 5 * time.Millisecond

// touch makes settle look at a peer.
func (c *Core) touch(p *peer) {
	if !p.touched && c.peers[p.id] == p {
		p.touched = true
		c.touched = append(c.touched, p)
	}
}

func (c *Core) emit(out Output) { c.out = append(c.out, out) }

// step counts the inputs that a core below refused: a refusal is the fault of whoever sent the message.
func (c *Core) step(err error) {
	if err != nil {
		c.refused.count(err)
	}
}

// refusals counts what was refused, and keeps the latest reason for a person to see.
type refusals struct {
	n    uint64
	last error
}

func (r *refusals) count(err error) { r.n, r.last = r.n+1, err }
