// Package seal seals and opens the control frames between members (DESIGN D4).
//
// Two members share a key for each direction: BLAKE2s over the X25519 secret of their static WireGuard keys, the network
// and the two public keys in order. Frames are sealed by XChaCha20-Poly1305 under a random nonce, so a restart never
// repeats one.
//
// What keeps a recorded frame from changing anything later is in the header: each node runs in an epoch, the time of its
// start, which only grows. A frame is *fresh* if it names the receiver's present epoch, comes from the sender's present
// or a newer epoch, and has a sequence number that was not seen in it. Two nodes that do not know each other's epoch
// learn it from a Hello, one round trip:
//
//	A ── Ping, receiver epoch 0 ─────────▶ B    genuine, perhaps old: B only answers
//	A ◀────── Hello, A's epoch, B's epoch ── B    fresh: A learns B's epoch
//	A ── Ping, receiver epoch B's ───────▶ B    fresh
//
// No clock needs to be right: epochs are compared only with those of the same node.
//
// A node may be overtaken: a copy of it runs elsewhere with the same keys, its memory was put back to a snapshot, or its
// epoch went back with a lost file. Then its peers know of a newer epoch of it, or of higher sequence numbers in this one,
// and refuse what it sends. They refuse it in silence only if it is a recording: a Hello tells the sender what they have
// heard, and a sender that finds itself behind takes a newer epoch for that pair (Advance), of which part is random:
//
//	A ── Ping, epoch 5 ─────────────────────▶ B    genuine, perhaps recorded: B has heard A in epoch 9
//	A ◀────── Hello, A's epoch 9 ──────────── B    A never was in epoch 9, so somebody else has its keys, or it went back
//	A ── Hello, epoch 9 + random ────────────▶ B    B names an older epoch of A's only to what is recorded
//
// What was recorded stays void: an epoch that was used is never used again, in any run, since nobody can foresee it.
package seal

import (
	"crypto/cipher"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/wire"
)

// What Open and Seal can find wrong.
var (
	ErrUnknownSender   = errors.New("control frame from nobody we know")
	ErrForged          = errors.New("control frame does not open")
	ErrReplayed        = errors.New("control frame was seen before")
	ErrUnknownReceiver = errors.New("no key for this node")
	ErrTooLong         = errors.New("control message is too long")
)

const keyContext = "overlayd control v1"

// Box holds the keys that one node shares with the other members. It is a value of one goroutine.
type Box struct {
	self    wire.NodeID
	network wire.NetworkID
	private *ecdh.PrivateKey
	epoch   uint64
	random  io.Reader
	peers   map[wire.NodeID]*peer
	hints   map[wire.Hint][]*peer
	hint    wire.Hint
	plain   []byte // scratch
	memory  *Memory
	screen  *Screen // nil until it is asked for
}

type peer struct {
	id     wire.NodeID
	public [32]byte
	hint   wire.Hint
	seal   cipher.AEAD // nil until first needed: deriving it costs a public-key operation
	open   cipher.AEAD
	sent   uint64
	own    uint64 // this node's epoch in this pair, if it was overtaken there; 0: that of the box
	epoch  uint64 // the newest that a fresh frame named; 0: none yet
	seen   window
	notice notices
}

// New makes the box of the node self. The epoch must be larger than that of any run before. Nonces are read from random,
// a cryptographic source in production.
func New(self wire.NodeID, network wire.NetworkID, private [32]byte, epoch uint64, random io.Reader) (*Box, error) {
	key, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return &Box{
		self: self, network: network, private: key, epoch: epoch, random: random,
		peers: make(map[wire.NodeID]*peer), hints: make(map[wire.Hint][]*peer),
		hint: hintOf(network, self),
	}, nil
}

// hintOf is how frames of a node are marked: meaningless to anyone who does not know the members.
func hintOf(network wire.NetworkID, id wire.NodeID) wire.Hint {
	sum := blake2s.Sum256(append(append([]byte("overlayd hint v1"), network[:]...), id[:]...))
	return wire.Hint(binary.BigEndian.Uint32(sum[:]))
}

// AddPeer makes frames to and from a member possible; known members are left as they are.
func (b *Box) AddPeer(id wire.NodeID, public [32]byte) {
	if _, known := b.peers[id]; known || id == b.self {
		return
	}
	p := &peer{id: id, public: public, hint: hintOf(b.network, id)}
	b.peers[id] = p
	b.hints[p.hint] = append(b.hints[p.hint], p)
}

// RemovePeer forgets a member and its key.
func (b *Box) RemovePeer(id wire.NodeID) {
	p := b.peers[id]
	if p == nil {
		return
	}
	delete(b.peers, id)
	b.screen.without(p)
	rest := b.hints[p.hint][:0:0]
	for _, other := range b.hints[p.hint] {
		if other != p {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(b.hints, p.hint)
		return
	}
	b.hints[p.hint] = rest
}

// Known reports whether a fresh frame of the peer has been seen, so that frames to it are fresh as well.
func (b *Box) Known(id wire.NodeID) bool {
	p := b.peers[id]
	return p != nil && p.epoch != 0
}

// Seal appends to dst the control frame with the given body for a peer.
func (b *Box) Seal(dst []byte, to wire.NodeID, kind wire.Kind, body []byte) ([]byte, error) {
	p := b.peers[to]
	if p == nil {
		return nil, ErrUnknownReceiver
	}
	return b.sealFor(dst, p, p.epoch, kind, body)
}

// SealHello appends to dst a Hello that answers a genuine frame which was not fresh, or was seen before. Whoever sends it
// makes sure that it is not longer than what caused it.
func (b *Box) SealHello(dst []byte, to wire.NodeID, theirEpoch uint64) ([]byte, error) {
	p := b.peers[to]
	if p == nil {
		return nil, ErrUnknownReceiver
	}
	hello := wire.Hello{}
	if theirEpoch = max(theirEpoch, p.epoch); theirEpoch == p.epoch {
		hello.Heard = p.seen.top
	}
	return b.sealFor(dst, p, theirEpoch, wire.KindHello, hello.Append(nil))
}

// Advance takes a newer epoch for the pair with a peer, above one that a Frame was Overtaken by, and reports whether there
// is one. Frames that the peer sealed before are not fresh any more.
func (b *Box) Advance(id wire.NodeID, above uint64) bool {
	const random, odd = 1<<40 - 1, 1
	p := b.peers[id]
	var draw [8]byte
	if p == nil {
		return false
	}
	if _, err := io.ReadFull(b.random, draw[:]); err != nil {
		return false
	}
	above = max(above, b.epochTo(p))
	next := (above + 2 + binary.BigEndian.Uint64(draw[:])&random) | odd
	if next <= above {
		return false // the peer has named the last epoch that there is
	}
	p.own = next
	return true
}

// Takeover reports whether an epoch was taken by Advance rather than by a start.
func Takeover(epoch uint64) bool { return epoch%2 == 1 }

// epochTo is this node's epoch in its pair with a peer.
func (b *Box) epochTo(p *peer) uint64 { return max(b.epoch, p.own) }

func (b *Box) sealFor(dst []byte, p *peer, theirEpoch uint64, kind wire.Kind, body []byte) ([]byte, error) {
	if len(body) > kind.MaxBody() {
		return nil, ErrTooLong
	}
	if err := b.derive(p); err != nil {
		return nil, err
	}
	p.sent++
	header := wire.Header{SenderEpoch: b.epochTo(p), ReceiverEpoch: theirEpoch, Seq: p.sent, Kind: kind}
	b.plain = append(header.Append(b.plain[:0]), body...)
	var nonce [wire.NonceLen]byte
	if _, err := io.ReadFull(b.random, nonce[:]); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	start := len(dst)
	dst = wire.AppendControlPrefix(dst, b.hint, &nonce)
	prefix := dst[start : len(dst)-wire.NonceLen]
	return p.seal.Seal(dst, nonce[:], b.plain, prefix), nil
}

// derive makes the two keys of a pair, once.
func (b *Box) derive(p *peer) error {
	if p.seal != nil {
		return nil
	}
	agree := b.agree
	if b.memory != nil {
		agree = func(p *peer) error { return b.memory.derive(b, p) }
	}
	if err := agree(p); err != nil {
		return err
	}
	b.screen.with(p)
	return nil
}

// agree is derive by a public-key operation.
func (b *Box) agree(p *peer) error {
	secret, err := b.secret(p)
	if err != nil {
		return err
	}
	ours := b.private.PublicKey().Bytes()
	if p.seal, err = b.direction(secret, ours, p.public[:]); err != nil {
		return err
	}
	p.open, err = b.direction(secret, p.public[:], ours)
	return err
}

// secret is the X25519 secret of the pair.
func (b *Box) secret(p *peer) ([]byte, error) {
	theirs, err := ecdh.X25519().NewPublicKey(p.public[:])
	if err != nil {
		return nil, fmt.Errorf("public key of %s: %w", p.id.Short(), err)
	}
	secret, err := b.private.ECDH(theirs)
	if err != nil {
		return nil, fmt.Errorf("public key of %s: %w", p.id.Short(), err)
	}
	return secret, nil
}

func (b *Box) direction(secret, from, to []byte) (cipher.AEAD, error) {
	return b.keyFor(keyContext, secret, from, to)
}

// keyFor is a key of one direction: BLAKE2s keyed with the X25519 secret of the pair, over a context, the network and the
// two public keys.
func (b *Box) keyFor(context string, secret, from, to []byte) (cipher.AEAD, error) {
	hash, err := blake2s.New256(secret)
	if err != nil {
		return nil, fmt.Errorf("control key: %w", err)
	}
	for _, part := range [][]byte{[]byte(context), b.network[:], from, to} {
		hash.Write(part)
	}
	return chacha20poly1305.NewX(hash.Sum(nil))
}

// Frame is an opened control frame.
type Frame struct {
	From        wire.NodeID
	Kind        wire.Kind
	Body        []byte // owned by the receiver
	Fresh       bool   // genuine and new: only then may it change anything
	Restarted   bool   // the first fresh frame of a newer epoch of a sender that was known before
	SenderEpoch uint64 // for SealHello where Fresh is false

	// Overtaken, if not zero, is an epoch that the sender has heard of this node, which has never been in it, or not so
	// far: for Advance. Such a frame may be a recording from before this node lost its memory: it says nothing else.
	Overtaken uint64
}

// Open opens a frame. The error is one of this package's, or of wire's. A frame that is genuine but not fresh is returned
// without an error and without having changed anything. With ErrReplayed the frame is genuine, too: a recording, unless
// its sender has gone back, which a Hello tells it.
func (b *Box) Open(raw []byte) (Frame, error) {
	hint, prefix, nonce, sealed, err := wire.ParseControl(raw)
	if err != nil {
		return Frame{}, err
	}
	candidates := b.hints[hint]
	if len(candidates) == 0 {
		return Frame{}, ErrUnknownSender
	}
	for _, p := range candidates {
		if err := b.derive(p); err != nil {
			continue
		}
		plain, err := p.open.Open(nil, nonce, sealed, prefix)
		if err != nil {
			continue
		}
		header, body, err := wire.ParseHeader(plain)
		if err != nil {
			return Frame{}, err
		}
		if len(body) > header.Kind.MaxBody() {
			return Frame{}, wire.ErrMalformed
		}
		return b.judge(p, header, body)
	}
	return Frame{}, ErrForged
}

// judge decides whether a genuine frame is fresh.
func (b *Box) judge(p *peer, h wire.Header, body []byte) (Frame, error) {
	frame := Frame{From: p.id, Kind: h.Kind, Body: body, SenderEpoch: h.SenderEpoch}
	own := b.epochTo(p)
	if h.SenderEpoch == 0 {
		return Frame{}, ErrReplayed
	}
	if h.ReceiverEpoch > own {
		frame.Overtaken = h.ReceiverEpoch
		return frame, nil
	}
	if h.SenderEpoch < p.epoch {
		return frame, ErrReplayed
	}
	if h.ReceiverEpoch != own {
		return frame, nil
	}
	if h.SenderEpoch > p.epoch {
		frame.Restarted = p.epoch != 0
		p.epoch, p.seen = h.SenderEpoch, window{}
	}
	if !p.seen.accept(h.Seq) {
		return frame, ErrReplayed
	}
	frame.Fresh = true
	if h.Kind == wire.KindHello {
		if hello, err := wire.ParseHello(body); err == nil && hello.Heard > p.sent {
			frame.Overtaken = own
		}
	}
	return frame, nil
}
