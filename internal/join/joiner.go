package join

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// ErrNobodyAnswered means that no endpoint of the token answered.
var ErrNobodyAnswered = errors.New("nobody answered")

const (
	askNext  = 500 * time.Millisecond // until the next endpoint is asked: a long round trip, and what an admin needs
	askAgain = 250 * time.Millisecond // once all are, until all are asked again; doubled after each
	patience = 10 * time.Second
)

// Input is what a Joiner is told: Heard or Tick.
type Input interface{ joinInput() }

// Heard is a datagram of class join that came in.
type Heard struct {
	From  netip.AddrPort
	Frame []byte
}

// Tick says that NextDeadline has passed.
type Tick struct{}

func (Heard) joinInput() {}
func (Tick) joinInput()  {}

// Output is what a Joiner wants done: Transmit, Joined or Failed. The last two are the end.
type Output interface{ joinOutput() }

// Transmit asks for a datagram. Frame must not be changed.
type Transmit struct {
	To    netip.AddrPort
	Frame []byte
}

// Joined brings everything that a member needs. All of it must be stored.
type Joined struct {
	Network     *member.Network
	Certificate *member.Certificate
	Items       [][]byte // this node's own record and those of a few members, for member.Load
	Sponsor     wire.NodeID
	Reached     netip.AddrPort // where this member answered: it may publish no endpoint that this node reaches
}

// Failed says why the node did not join, in a sentence for the person who tried.
type Failed struct{ Err error }

func (Transmit) joinOutput() {}
func (Joined) joinOutput()   {}
func (Failed) joinOutput()   {}

// Joiner is the newcomer's side of a join:
//
//	asking for the certificate ──reply──▶ handing in the record ──reply──▶ asking for more ──reply, or 1 s──▶ joined
//	       │ refused, or 10 s without an answer         │
//	       └──────────────────▶ failed ◀────────────────┘
//
// It can be repeated with the same identity after any failure. It belongs to one goroutine.
type Joiner struct {
	token     Token
	endpoints []netip.AddrPort
	id        member.Identity
	name      string
	random    io.Reader
	seals     seals

	part     byte
	asked    int // endpoints that were
	nonce    [24]byte
	frame    []byte
	next     time.Time
	wait     time.Duration
	giveUp   time.Time
	network  *member.Network
	cert     *member.Certificate
	items    [][]byte
	sponsor  wire.NodeID
	reached  netip.AddrPort
	more     int                     // records that were asked for beyond the sponsor's
	foreign  map[netip.AddrPort]bool // who said that they speak another version: at most as many as the endpoints
	version  VersionError            // what the last of them said
	finished bool
	out      []Output
}

// NewJoiner begins a join at now: the first requests can be drained at once. endpoints are what the token's resolve to.
// Random must be cryptographic.
func NewJoiner(
	now time.Time, t Token, endpoints []netip.AddrPort, id member.Identity, name string, random io.Reader,
) (*Joiner, error) {
	if err := member.ValidName(name); err != nil {
		return nil, err
	}
	if now.After(t.Expiry.Add(member.InvitationGrace)) {
		return nil, member.ErrTokenExpired // until then a join that broke off can be repeated: the inviter decides
	}
	j := &Joiner{
		token: t, endpoints: slices.Clone(endpoints), id: id, name: name, random: random,
		seals: sealsOf(t.Secret.key(), t.Network()), foreign: make(map[netip.AddrPort]bool),
	}
	public := id.WireGuard()
	body := requestBody{WireGuard: public[:], Signing: id.Signing(), Name: name}
	body.sign(id, &t)
	return j, j.ask(now, partCertificate, body, patience)
}

// ask begins one part of the join.
func (j *Joiner) ask(now time.Time, part byte, body requestBody, wait time.Duration) error {
	if _, err := io.ReadFull(j.random, j.nonce[:]); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	frame, err := j.seals.sealRequest(part, j.token.ID, j.nonce, body)
	if err != nil {
		return err
	}
	j.part, j.frame, j.asked, j.wait, j.giveUp = part, frame, 0, askAgain, now.Add(wait)
	j.transmit(now)
	return nil
}

// transmit asks one endpoint after the other, and once all were asked, all again: of two admins that are asked at once
// each would sign, and the newcomer would lose the address that it is told.
func (j *Joiner) transmit(now time.Time) {
	j.next = now.Add(j.wait)
	to := j.endpoints
	if j.asked < len(to) {
		to = to[j.asked : j.asked+1]
		if j.asked++; j.asked < len(j.endpoints) {
			j.next = now.Add(askNext)
		}
	} else {
		j.wait *= 2
	}
	for _, at := range to {
		j.out = append(j.out, Transmit{To: at, Frame: j.frame})
	}
}

// Step takes one input. An error says that a datagram was not an answer to this join, and changes nothing.
func (j *Joiner) Step(now time.Time, in Input) error {
	if j.finished {
		return nil
	}
	var err error
	if h, ok := in.(Heard); ok {
		err = j.heard(now, h)
	}
	switch {
	case j.finished:
	case !now.Before(j.giveUp) && j.part == partMore:
		j.finish() // it goes without
	case !now.Before(j.giveUp):
		j.fail(j.nobody(now))
	case !now.Before(j.next):
		j.transmit(now)
	}
	return err
}

// NextDeadline is when Step wants a Tick; false once the join has ended.
func (j *Joiner) NextDeadline() (time.Time, bool) {
	if j.giveUp.Before(j.next) {
		return j.giveUp, !j.finished
	}
	return j.next, !j.finished
}

// Drain appends what is to be done to dst and forgets it.
func (j *Joiner) Drain(dst []Output) []Output {
	dst = append(dst, j.out...)
	j.out = nil
	return dst
}

func (j *Joiner) fail(err error) {
	j.finished = true
	j.out = append(j.out, Failed{Err: err})
}

func (j *Joiner) nobody(now time.Time) error {
	if now.After(j.token.Expiry.Add(member.ClockTolerance)) {
		return member.ErrTokenExpired
	}
	if len(j.foreign) > 0 {
		return j.version
	}
	return fmt.Errorf("%w at %s: check that overlayd runs there and reaches an admin, that UDP gets through, and that the "+
		"token is still wanted", ErrNobodyAnswered, strings.Join(j.token.Endpoints, ", "))
}

// heard takes a reply. It is a member's: nobody else can seal it. What it brings, the root key must vouch for.
func (j *Joiner) heard(now time.Time, h Heard) error {
	if e, err := j.seals.versions.openNotice(h.Frame, j.token.ID, j.nonce[:]); err == nil {
		j.noticed(h.From, e)
		return nil
	}
	body, err := j.seals.openReply(h.Frame, j.part, j.token.ID, j.nonce[:])
	if err != nil {
		return err
	}
	if err := body.refused(j.name); err != nil {
		j.fail(err)
		return nil
	}
	switch j.part {
	case partCertificate:
		err = j.certified(now, h.From, body)
	case partRecord:
		err = j.introduced(now, body)
	default:
		return j.another(now, body)
	}
	if err != nil {
		j.fail(fmt.Errorf("the answer of the network cannot be used: %w", err))
	}
	return nil
}

// noticed takes the notice of a member that speaks another version. Another member may speak that of this node.
func (j *Joiner) noticed(from netip.AddrPort, e VersionError) {
	e.Endpoint = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()
	j.version = e
	if j.foreign[from] = true; len(j.foreign) >= len(j.endpoints) {
		j.fail(e)
	}
}

// certified checks what was issued, and hands in the record of this node where the answer came from.
func (j *Joiner) certified(now time.Time, from netip.AddrPort, body replyBody) error {
	g, err := openGrant(j.id, j.token.Network(), body.Public, body.Granted)
	if err != nil {
		return err
	}
	network, err := member.ParseNetwork(g.Settings)
	if err != nil {
		return err
	}
	if network.ID != j.token.Network() {
		return member.ErrForeign
	}
	cert, err := network.CheckCertificate(g.Certificate) // by whose clock it begins does not matter
	if err != nil {
		return err
	}
	if cert.Node != j.id.ID() || cert.Name != j.name {
		return fmt.Errorf("certificate for another node: %w", member.ErrForeign)
	}
	record, err := member.SignRecord(j.id, cert, cert.Serial, member.Statement{})
	if err != nil {
		return err
	}
	j.network, j.cert = network, cert
	j.keep(record)
	j.reached = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	j.endpoints = []netip.AddrPort{from}
	return j.ask(now, partRecord, requestBody{Record: record.Raw()}, patience)
}

func (j *Joiner) keep(r *member.Record) {
	j.items = append(j.items, member.Item{Kind: member.KindRecord, Raw: r.Raw()}.Stored())
}

// introduced learns the member that answers.
func (j *Joiner) introduced(now time.Time, body replyBody) error {
	sponsor, err := j.network.CheckRecord(body.Record)
	if err != nil {
		return err
	}
	j.sponsor = sponsor.Node()
	j.keep(sponsor)
	return j.ask(now, partMore, requestBody{}, moreTimeout)
}

// another learns one more member, so that the newcomer finds the network if the first one has gone by then.
func (j *Joiner) another(now time.Time, body replyBody) error {
	j.more++
	r, err := j.network.CheckRecord(body.Record)
	if err != nil {
		j.finish() // there is no other
		return nil
	}
	j.keep(r)
	if j.more == moreRecords {
		j.finish()
		return nil
	}
	return j.ask(now, partMore, requestBody{Index: j.more}, moreTimeout)
}

const (
	moreRecords = 4           // of members beyond the sponsor
	moreTimeout = time.Second // the newcomer goes without
)

func (j *Joiner) finish() {
	j.finished = true
	j.out = append(j.out, Joined{
		Network: j.network, Certificate: j.cert, Items: j.items, Sponsor: j.sponsor, Reached: j.reached,
	})
}
