package join

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

const (
	// Requests with one token that are looked into. A join needs a few, with all repetitions to eight endpoints some
	// forty. Whoever replays a recorded request uses up the share of a token that has done its work.
	joinsASecond = 4
	joinsBurst   = 40

	// The same for an invitation of many nodes.
	joinsAUse = 2

	maxPassed = 64              // requests that wait for the answer of an admin
	passedFor = 5 * time.Second // how long they do
	maxKnocks = 1024            // invitations whose requests are counted
)

// Why a request to join is not answered.
var (
	ErrUnknownToken = errors.New("unknown token")
	ErrTooMany      = errors.New("too many join requests")
	ErrNoAdmin      = errors.New("no admin can be reached")
)

// Door is where newcomers knock. Any member has one: it knows all invitations, answers by itself if it is an admin, and
// passes the question on to one if it is not.
//
//	newcomer ── request ──▶ Door of any member ── Pass ──▶ Door of an admin: Registrar
//	newcomer ◀── reply ──── Door of any member ◀── Pass ──          │ signs
//
// It belongs to one goroutine.
type Door struct {
	set       *member.Set
	registrar *member.Registrar
	random    io.Reader
	build     string
	credits   map[member.TokenID]member.Credit
	passed    map[uint64]passed // by ticket
}

// passed is a request that an admin was asked about.
type passed struct {
	admin  wire.NodeID
	back   any
	token  member.TokenID
	nonce  []byte
	expiry time.Time
}

// NewDoor is the door of a node. Random must be cryptographic. Build is what newcomers of other versions are told.
func NewDoor(set *member.Set, registrar *member.Registrar, random io.Reader, build string) *Door {
	return &Door{
		set: set, registrar: registrar, random: random, build: build,
		credits: make(map[member.TokenID]member.Credit), passed: make(map[uint64]passed),
	}
}

// Answer is what comes of a request, in this order.
type Answer struct {
	Learn []member.Item // for the Set, to be stored before anything is sent
	To    wire.NodeID   // if not zero: Body goes to this member in a KindPass frame
	Body  []byte
	Back  any    // what Receive was given with the request
	Frame []byte // to be sent there; nil: nothing

	Notice string // for people, at most now and then for each text: the newcomer has another version; empty: nothing
}

// passBody is a question to an admin, or its answer.
type passBody struct {
	Ticket  uint64       `cbor:"1,keyasint"`
	Token   []byte       `cbor:"2,keyasint"`
	Request *requestBody `cbor:"3,keyasint,omitempty"`
	Reply   *replyBody   `cbor:"4,keyasint,omitempty"`
}

// Receive takes a join request that came from an address. Back is handed back with the answer, which may come later from
// an admin; admins are the reachable ones, best first. An error means that nothing is to be sent: whoever sent it has no
// token, or asks too often.
func (d *Door) Receive(now time.Time, from netip.AddrPort, back any, frame []byte, admins []wire.NodeID) (Answer, error) {
	a, err := d.receive(now, back, frame, admins)
	if err != nil {
		return Answer{}, fmt.Errorf("join from %s: %w", from, err)
	}
	return a, nil
}

func (d *Door) receive(now time.Time, back any, frame []byte, admins []wire.NodeID) (Answer, error) {
	r, err := parseHead(frame)
	if err != nil {
		return Answer{}, err
	}
	i := d.set.Invitation(r.token)
	if i == nil {
		return Answer{}, ErrUnknownToken
	}
	if !d.seals(i).versions.proved(frame) {
		return Answer{}, fmt.Errorf("join request: %w", member.ErrSignature)
	}
	if r.version != version {
		return d.otherVersion(now, back, i, r)
	}
	body, err := d.seals(i).openRequest(frame, r)
	if err != nil {
		return Answer{}, err
	}
	if !d.afford(now, i) {
		return Answer{}, ErrTooMany
	}
	a := Answer{Back: back}
	var reply replyBody
	switch r.part {
	case partRecord:
		reply, a.Learn = d.record(now, i, body.Record)
	case partMore:
		reply = d.another(body.Index)
	default:
		who, genuine := body.applicant(d.set.Network().ID, &i.Lock)
		if !genuine {
			return Answer{}, member.ErrSignature
		}
		if !d.registrar.May(now) {
			return d.pass(now, back, i, r, body, admins)
		}
		reply, a.Learn = d.admit(now, i, who)
	}
	a.Frame, err = d.reply(i, r.part, r.nonce, reply)
	return a, err
}

// otherVersion tells a newcomer of another version so, and nothing else comes of its request.
func (d *Door) otherVersion(now time.Time, back any, i *member.Invitation, h head) (Answer, error) {
	if !d.afford(now, i) {
		return Answer{}, ErrTooMany
	}
	notice, err := d.seals(i).versions.sealNotice(d.random, h, d.build)
	return Answer{Back: back, Frame: notice, Notice: otherVersion(h)}, err
}

func (d *Door) seals(i *member.Invitation) seals { return sealsOf(i.Key, d.set.Network().ID) }

// admit is the answer of an admin to a newcomer, and what was signed for it.
func (d *Door) admit(now time.Time, i *member.Invitation, who member.Applicant) (replyBody, []member.Item) {
	c, signed, err := d.registrar.Admit(now, i, who)
	if err != nil {
		return refuse(err), nil
	}
	public, sealed, err := sealGrant(d.random, d.set.Network(), who.WireGuard, c)
	if err != nil {
		return replyBody{Status: statusRecord}, signed
	}
	return replyBody{Public: public, Granted: sealed}, signed
}

func (d *Door) reply(i *member.Invitation, part byte, requestNonce []byte, body replyBody) ([]byte, error) {
	var nonce [24]byte
	if _, err := io.ReadFull(d.random, nonce[:]); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return d.seals(i).sealReply(part, i.ID, requestNonce, nonce, body), nil
}

// record takes a newcomer's record and hands out this node's.
func (d *Door) record(now time.Time, i *member.Invitation, raw []byte) (replyBody, []member.Item) {
	r, err := d.set.Network().CheckRecord(raw)
	own := d.set.Own()
	if err != nil || r.Certificate.Token != i.ID || own == nil || !d.set.Stands(r.Certificate) {
		return replyBody{Status: statusRecord}, nil
	}
	reply := replyBody{Record: own.Raw()}
	if known := d.set.Record(r.Node()); known != nil && (known.Sequence >= r.Sequence || known.Certificate.Serial >= r.Certificate.Serial) {
		return reply, nil // a repeated request, or a version that it tells like any member: nothing is to be stored at once
	}
	return reply, []member.Item{{Kind: member.KindRecord, Raw: raw}}
}

// another hands out the record of a member that this node has met; none if there are no more.
func (d *Door) another(index int) replyBody {
	met := d.set.Neighbors()
	if index < 0 || index >= len(met) {
		return replyBody{}
	}
	if r := d.set.Record(met[index]); r != nil {
		return replyBody{Record: r.Raw()}
	}
	return replyBody{}
}

// pass asks an admin. Whoever made the invitation is asked first; a request that is repeated goes to the next one.
func (d *Door) pass(
	now time.Time, back any, i *member.Invitation, r head, body requestBody, admins []wire.NodeID,
) (Answer, error) {
	admins = slices.DeleteFunc(slices.Clone(admins), func(id wire.NodeID) bool { return !d.set.IsAdmin(id) })
	if len(admins) == 0 {
		return Answer{}, ErrNoAdmin
	}
	tried := 0
	for ticket, p := range d.passed {
		if now.After(p.expiry) {
			delete(d.passed, ticket)
		} else if p.token == r.token {
			tried++
		}
	}
	if len(d.passed) >= maxPassed {
		return Answer{}, ErrTooMany
	}
	if by := i.By; slices.Contains(admins, by) {
		admins = append([]wire.NodeID{by}, slices.DeleteFunc(admins, func(id wire.NodeID) bool { return id == by })...)
	}
	var b [8]byte
	if _, err := io.ReadFull(d.random, b[:]); err != nil {
		return Answer{}, fmt.Errorf("read random bytes: %w", err)
	}
	ticket := binary.BigEndian.Uint64(b[:])
	// Two tries with each, since the first one may be lost, and two admins that sign for one newcomer are one too many.
	admin := admins[(tried/2)%len(admins)]
	d.passed[ticket] = passed{
		admin: admin, back: back, token: r.token, nonce: slices.Clone(r.nonce), expiry: now.Add(passedFor),
	}
	return Answer{To: admin, Body: member.Encode(passBody{Ticket: ticket, Token: r.token[:], Request: &body})}, nil
}

// Passed takes the body of a KindPass frame from a member: a question that it was asked and passes on, or the answer to
// one that this node has passed on.
func (d *Door) Passed(now time.Time, from wire.NodeID, body []byte) (Answer, error) {
	var p passBody
	if err := member.Decode(body, wire.MaxBodyLen, &p); err != nil {
		return Answer{}, fmt.Errorf("passed on: %w", err)
	}
	if len(p.Token) != len(member.TokenID{}) {
		return Answer{}, fmt.Errorf("passed on: %w", member.ErrMalformed)
	}
	i := d.set.Invitation(member.TokenID(p.Token))
	if i == nil {
		return Answer{}, fmt.Errorf("passed on: %w", ErrUnknownToken)
	}
	switch {
	case p.Request != nil:
		if !d.registrar.May(now) {
			return Answer{}, member.ErrNotAdmin
		}
		if !d.afford(now, i) {
			return Answer{}, ErrTooMany
		}
		reply, learn := replyBody{Status: statusRecord}, []member.Item(nil)
		if who, genuine := p.Request.applicant(d.set.Network().ID, &i.Lock); genuine {
			reply, learn = d.admit(now, i, who)
		}
		return Answer{Learn: learn, To: from, Body: member.Encode(passBody{Ticket: p.Ticket, Token: p.Token, Reply: &reply})}, nil
	case p.Reply != nil:
		w, waiting := d.passed[p.Ticket]
		if !waiting || w.admin != from || w.token != i.ID {
			return Answer{}, fmt.Errorf("passed on: %w", member.ErrStranger)
		}
		delete(d.passed, p.Ticket)
		frame, err := d.reply(i, partCertificate, w.nonce, *p.Reply)
		return Answer{Back: w.back, Frame: frame}, err
	}
	return Answer{}, fmt.Errorf("passed on: %w", member.ErrMalformed)
}

// afford bounds the work that a token can cause. Only its holders, and who recorded them, get so far.
func (d *Door) afford(now time.Time, i *member.Invitation) bool {
	burst := float64(joinsBurst + joinsAUse*(i.Uses-1))
	c, known := d.credits[i.ID]
	if !known {
		if len(d.credits) >= maxKnocks {
			clear(d.credits)
		}
		c = member.Credit{Left: burst, At: now}
	}
	enough := c.Take(now, float64(joinsASecond+i.Uses-1), burst, 1)
	d.credits[i.ID] = c
	return enough
}
