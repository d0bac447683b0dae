package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"

	"overlayd/internal/wire"
)

// Nodes of two builds whose control frames differ cannot open each other's. What they can do, whatever the builds, is
// tell which protocol they speak:
//
//	any frame of protocol 3 ──▶ B, which speaks 4      its first bytes name the protocol, and perhaps the sender
//	A ◀── notice: I speak 4, build v1.2 ────── B       a frame of protocol 0, sealed under a key of its own
//
// A notice is epoch (8) | protocol (1) | length (1) | build. More bytes may follow in later builds. Its form, its key and
// its place never change. A recording of one is genuine as well, so it changes nothing but what people are told.

const noticeContext = "overlayd version v1"

// MaxBuild bounds the name of a build in a notice, in bytes.
const MaxBuild = 32

const noticeLen = 8 + 1 + 1

// Notice is what a node says of its build.
type Notice struct {
	Protocol uint8
	Build    string // at most MaxBuild bytes; not fit to be printed as it is
	Epoch    uint64 // of the sender's start: one with an older epoch than another is a recording
}

// notices are the keys of a pair for them; nil until first needed.
type notices struct{ seal, open cipher.AEAD }

// Claims tells who a control frame of another protocol claims to come from, and that protocol; false if it is no such
// frame, or of no member. Nothing of it is proved.
func (b *Box) Claims(raw []byte) (id wire.NodeID, protocol uint8, ok bool) {
	protocol, hint, ok := wire.PeekProtocol(raw)
	if !ok || protocol == wire.Protocol || len(b.hints[hint]) != 1 {
		return id, 0, false
	}
	return b.hints[hint][0].id, protocol, true
}

// SealNotice appends to dst a notice of at most limit bytes for a peer; the name of the build is cut for it.
func (b *Box) SealNotice(dst []byte, to wire.NodeID, build string, limit int) ([]byte, error) {
	p := b.peers[to]
	if p == nil {
		return nil, ErrUnknownReceiver
	}
	if err := b.deriveNotices(p); err != nil {
		return nil, err
	}
	var nonce [wire.NonceLen]byte
	if _, err := io.ReadFull(b.random, nonce[:]); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	start := len(dst)
	dst = wire.AppendPrefixOf(dst, wire.NoticeProtocol, b.hint, &nonce)
	room := limit - (len(dst) - start) - noticeLen - p.notice.seal.Overhead()
	if room < 0 {
		return nil, ErrTooLong
	}
	build = build[:min(len(build), MaxBuild, room)]
	plain := binary.BigEndian.AppendUint64(nil, b.epoch)
	plain = append(append(plain, wire.Protocol, byte(len(build))), build...)
	prefix := dst[start : len(dst)-wire.NonceLen]
	return p.notice.seal.Seal(dst, nonce[:], plain, prefix), nil
}

// OpenNotice opens a notice. The error is one of this package's, or of wire's.
func (b *Box) OpenNotice(raw []byte) (wire.NodeID, Notice, error) {
	hint, prefix, nonce, sealed, err := wire.ParseNotice(raw)
	if err != nil {
		return wire.NodeID{}, Notice{}, err
	}
	candidates := b.hints[hint]
	if len(candidates) == 0 {
		return wire.NodeID{}, Notice{}, ErrUnknownSender
	}
	for _, p := range candidates {
		if err := b.deriveNotices(p); err != nil {
			continue
		}
		plain, err := p.notice.open.Open(nil, nonce, sealed, prefix)
		if err != nil {
			continue
		}
		if len(plain) < noticeLen || len(plain) < noticeLen+int(plain[9]) {
			return wire.NodeID{}, Notice{}, wire.ErrMalformed
		}
		length := min(int(plain[9]), MaxBuild)
		return p.id, Notice{
			Epoch: binary.BigEndian.Uint64(plain), Protocol: plain[8], Build: string(plain[noticeLen : noticeLen+length]),
		}, nil
	}
	return wire.NodeID{}, Notice{}, ErrForged
}

func (b *Box) deriveNotices(p *peer) error {
	if p.notice.seal != nil {
		return nil
	}
	secret, err := b.secret(p)
	if err != nil {
		return err
	}
	ours := b.private.PublicKey().Bytes()
	if p.notice.seal, err = b.keyFor(noticeContext, secret, ours, p.public[:]); err != nil {
		return err
	}
	p.notice.open, err = b.keyFor(noticeContext, secret, p.public[:], ours)
	return err
}
