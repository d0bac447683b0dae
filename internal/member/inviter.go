package member

import (
	"cmp"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

const (
	// MaxInvitations bounds the tokens that one node has handed out and not forgotten.
	MaxInvitations = 256

	// MaxInvitationTTL bounds how long a token can be used.
	MaxInvitationTTL = 30 * 24 * time.Hour

	remember = 24 * time.Hour // that a token was used or has expired, so that the newcomer is told

	// Requests with one token that are looked into. A join needs two, with all repetitions to eight endpoints some
	// forty. Whoever replays a recorded request uses up the share of a token that has done its work.
	joinsASecond = 4
	joinsBurst   = 40
)

// Why Inviter.Create and Inviter.Receive refuse.
var (
	ErrNotAdmin     = errors.New("this node may not invite others: ask on a node that holds the root key or is an admin")
	ErrManyTokens   = errors.New("too many tokens are outstanding: wait until some expire, or cancel some")
	ErrTTL          = errors.New("a token can be used for between one minute and 30 days")
	ErrNoEndpoint   = errors.New("no address is known at which a newcomer reaches this node: use --endpoint HOST:PORT")
	ErrUnknownToken = errors.New("unknown token")
	ErrTooManyJoins = errors.New("too many join requests")
)

// Invitation is a token as its maker remembers it. Its text is a secret and is not kept.
type Invitation struct {
	ID          TokenID     `cbor:"1,keyasint"`
	Secret      TokenSecret `cbor:"2,keyasint"`
	Name        string      `cbor:"3,keyasint,omitempty"` // that the newcomer must have; empty: any
	Expiry      int64       `cbor:"4,keyasint"`           // Unix seconds
	Certificate []byte      `cbor:"5,keyasint,omitempty"` // issued for it; empty: not used yet
}

// Used reports whether a certificate was issued for the token.
func (i Invitation) Used() bool { return len(i.Certificate) > 0 }

// Registry tells which names and addresses are taken; Set is one.
type Registry interface {
	Get(id wire.NodeID) (Member, bool)
	ByName(name string) (Member, bool)
	ByIPv4(addr netip.Addr) (Member, bool)
	Len() int
}

var _ Registry = (*Set)(nil)

// Answer is what comes of a join request.
type Answer struct {
	Frame  []byte // to be sent back to where the request came from, after Save; nil: nothing
	Save   bool   // Invitations has changed and must be stored first, or a token could be used twice
	Record []byte // a newcomer's record, to be given to the Set as Learn; nil: none
}

// Inviter makes tokens and lets in who has one. It belongs to one goroutine.
type Inviter struct {
	authority Authority
	id        Identity
	registry  Registry
	random    io.Reader

	list    []Invitation
	issued  map[TokenID]*Certificate // of the used ones
	credits map[TokenID]credit       // of those that were asked with
}

// credit is how many requests are looked into at once.
type credit struct {
	left float64
	at   time.Time
}

// NewInviter is the inviter of the node with the given identity, going on with the invitations that were stored.
// Random must be cryptographic.
func NewInviter(a Authority, id Identity, registry Registry, stored []Invitation, random io.Reader) *Inviter {
	v := &Inviter{
		authority: a, id: id, registry: registry, random: random,
		issued: make(map[TokenID]*Certificate), credits: make(map[TokenID]credit),
	}
	for _, i := range stored[:min(len(stored), MaxInvitations)] {
		if i.Used() {
			c, err := a.Network.checkCertificate(i.Certificate)
			if err != nil {
				continue
			}
			v.issued[i.ID] = c
		}
		v.list = append(v.list, i)
	}
	return v
}

// SetAuthority replaces what certificates are signed with, after a renewal.
func (v *Inviter) SetAuthority(a Authority) { v.authority = a }

// Invitations are all that must be stored, sorted by expiry. They hold secrets.
func (v *Inviter) Invitations() []Invitation { return slices.Clone(v.list) }

// Create makes a token, in one line, for one node with the given name (empty: any), to be used until now + ttl, at this
// node under one of the endpoints, HOST:PORT. Invitations must be stored before it is handed out.
func (v *Inviter) Create(now time.Time, name string, ttl time.Duration, endpoints []string) (string, error) {
	switch {
	case !v.authority.May(now):
		return "", ErrNotAdmin
	case ttl < time.Minute || ttl > MaxInvitationTTL:
		return "", ErrTTL
	case len(endpoints) == 0:
		return "", ErrNoEndpoint
	}
	if name != "" {
		if err := ValidName(name); err != nil {
			return "", err
		}
		if v.nameTaken(name, wire.NodeID{}) {
			return "", fmt.Errorf("the name %q is refused: %w", name, ErrNameTaken)
		}
	}
	v.prune(now)
	if len(v.list) >= MaxInvitations {
		return "", ErrManyTokens
	}
	t := Token{
		Root: v.authority.Network.Root, Inviter: v.id.ID(), WireGuard: v.id.WireGuard(), Expiry: now.Add(ttl),
		Endpoints: endpoints[:min(len(endpoints), MaxTokenEndpoints)],
	}
	if err := errors.Join(v.read(t.ID[:]), v.read(t.Secret[:])); err != nil {
		return "", err
	}
	text, err := t.Text()
	if err != nil {
		return "", err
	}
	v.list = append(v.list, Invitation{ID: t.ID, Secret: t.Secret, Name: name, Expiry: t.Expiry.Unix()})
	slices.SortStableFunc(v.list, func(a, b Invitation) int { return cmp.Compare(a.Expiry, b.Expiry) })
	return text, nil
}

// Cancel forgets a token that was not used, and reports whether there was one.
func (v *Inviter) Cancel(id TokenID) bool {
	before := len(v.list)
	delete(v.credits, id)
	v.list = slices.DeleteFunc(v.list, func(i Invitation) bool { return i.ID == id && !i.Used() })
	return len(v.list) < before
}

// prune forgets tokens that expired long ago.
func (v *Inviter) prune(now time.Time) {
	v.list = slices.DeleteFunc(v.list, func(i Invitation) bool {
		old := now.After(time.Unix(i.Expiry, 0).Add(remember))
		if old {
			delete(v.issued, i.ID)
			delete(v.credits, i.ID)
		}
		return old
	})
}

func (v *Inviter) read(b []byte) error {
	if _, err := io.ReadFull(v.random, b); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	return nil
}

// Receive takes a join request. An error means that nothing is to be sent: who sent it does not have a token of this
// node, or asks too often. from is only for the message of the error.
func (v *Inviter) Receive(now time.Time, from netip.AddrPort, frame []byte) (Answer, error) {
	r, err := parseRequest(frame)
	if err != nil {
		return Answer{}, fmt.Errorf("join from %s: %w", from, err)
	}
	at := slices.IndexFunc(v.list, func(i Invitation) bool { return i.ID == r.token })
	if at < 0 {
		return Answer{}, fmt.Errorf("join from %s: %w", from, ErrUnknownToken)
	}
	inv := &v.list[at]
	mac := joinMAC(inv.Secret, frame[:joinRequest-macLen])
	if subtle.ConstantTimeCompare(mac, frame[joinRequest-macLen:]) != 1 {
		return Answer{}, fmt.Errorf("join from %s: %w", from, ErrSignature)
	}
	if !v.afford(now, inv.ID) {
		return Answer{}, fmt.Errorf("join from %s: %w", from, ErrTooManyJoins)
	}
	network := v.authority.Network.ID
	keys, err := deriveJoin(v.id, r.newcomer, v.id.WireGuard(), inv.Secret, network)
	if err != nil {
		return Answer{}, fmt.Errorf("join from %s: %w", from, err)
	}
	body, err := keys.openRequest(frame, r)
	if err != nil {
		return Answer{}, fmt.Errorf("join from %s: %w", from, err)
	}
	if !ed25519.Verify(body.Signing, proofPayload(network, r.newcomer, r.token), body.Proof) {
		return Answer{}, fmt.Errorf("join from %s: %w", from, ErrSignature)
	}
	var nonce [24]byte
	if err := v.read(nonce[:]); err != nil {
		return Answer{}, err
	}
	reply, answer := v.decide(now, inv, r, body)
	answer.Frame = keys.sealReply(r, nonce, reply)
	return answer, nil
}

// decide is the answer to a request that shows knowledge of the token's secret and of both private keys.
func (v *Inviter) decide(now time.Time, inv *Invitation, r request, body requestBody) (replyBody, Answer) {
	id := NodeID(r.newcomer, body.Signing)
	if inv.Used() {
		c := v.issued[inv.ID]
		switch {
		case c.Node != id:
			return replyBody{Status: statusUsed}, Answer{}
		case r.part == partRecord:
			return v.takeRecord(now, c, body.Record)
		case c.Name != body.Name:
			return replyBody{Status: statusOtherName, Text: c.Name}, Answer{}
		}
		return replyBody{Settings: v.authority.Network.raw, Certificate: c.raw}, Answer{}
	}
	if now.Unix() >= inv.Expiry {
		return replyBody{Status: statusExpired}, Answer{}
	}
	if r.part == partRecord {
		return replyBody{Status: statusRecord}, Answer{}
	}
	c, refused := v.issue(now, inv, id, r, body)
	if c == nil {
		return refused, Answer{}
	}
	inv.Certificate = c.raw
	v.issued[inv.ID] = c
	return replyBody{Settings: v.authority.Network.raw, Certificate: c.raw}, Answer{Save: true}
}

// takeRecord takes the newcomer's record and hands out the inviter's.
func (v *Inviter) takeRecord(now time.Time, c *Certificate, raw []byte) (replyBody, Answer) {
	rec, err := v.authority.Network.VerifyRecord(raw, c, now)
	own, ok := v.registry.Get(v.id.ID())
	if err != nil || rec.Node() != c.Node || !ok {
		return replyBody{Status: statusRecord}, Answer{}
	}
	if known, ok := v.registry.Get(c.Node); ok && known.Record.Sequence >= rec.Sequence {
		raw = nil // a repeated request: nothing is to be stored again
	}
	return replyBody{Record: own.Record.raw}, Answer{Record: raw}
}

// issue makes the certificate, or says why not.
func (v *Inviter) issue(
	now time.Time, inv *Invitation, id wire.NodeID, r request, body requestBody,
) (*Certificate, replyBody) {
	known, member := v.registry.Get(id)
	switch {
	case ValidName(body.Name) != nil:
		return nil, replyBody{Status: statusName}
	case inv.Name != "" && inv.Name != body.Name:
		return nil, replyBody{Status: statusOtherName, Text: inv.Name}
	case v.nameTaken(body.Name, id):
		return nil, replyBody{Status: statusTaken}
	case !member && v.registry.Len() >= MaxMembers:
		return nil, replyBody{Status: statusFull}
	}
	addr, since := known.IPv4, now
	if member && addr.IsValid() {
		since = known.Record.Certificate.NotBefore // it lost its state and keeps its place
	} else if free, err := lowestFree(v.authority.Network.Prefix, v.addrTaken); err == nil {
		addr = free
	} else {
		return nil, replyBody{Status: statusFull}
	}
	var serial [8]byte
	if v.read(serial[:]) != nil {
		return nil, replyBody{Status: statusIssuer}
	}
	c, err := v.authority.Issue(Certificate{
		WireGuard: r.newcomer, Signing: body.Signing, Name: body.Name, IPv4: addr, Capabilities: Relay,
		NotBefore: since, NotAfter: now.Add(Validity), Serial: binary.BigEndian.Uint64(serial[:]),
	}, now)
	if err != nil {
		return nil, replyBody{Status: statusIssuer}
	}
	return c, replyBody{}
}

// nameTaken reports whether a node other than id has the name, or was issued a certificate with it.
func (v *Inviter) nameTaken(name string, id wire.NodeID) bool {
	if m, ok := v.registry.ByName(name); ok && m.ID != id {
		return true
	}
	for _, c := range v.issued {
		if c.Name == name && c.Node != id {
			return true
		}
	}
	return false
}

func (v *Inviter) addrTaken(addr netip.Addr) bool {
	if _, ok := v.registry.ByIPv4(addr); ok {
		return true
	}
	for _, c := range v.issued {
		if c.IPv4 == addr {
			return true
		}
	}
	return false
}

// afford bounds the public-key operations that a token can cause. Only its holders, and who recorded them, get so far.
func (v *Inviter) afford(now time.Time, id TokenID) bool {
	c, known := v.credits[id]
	if !known {
		c = credit{left: joinsBurst, at: now}
	}
	if d := now.Sub(c.at); d > 0 {
		c.left, c.at = min(joinsBurst, c.left+d.Seconds()*joinsASecond), now
	}
	enough := c.left >= 1
	if enough {
		c.left--
	}
	v.credits[id] = c
	return enough
}
