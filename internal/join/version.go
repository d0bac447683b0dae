package join

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// Builds of different versions cannot read each other's join frames, but for what never changes: the head of a request,
// and the notice with which a member says that it speaks another version.
//
//	request:
//	 0    1         2      3          11         35         51
//	+----+---------+------+----------+----------+----------+------------------
//	| 4A | version | part | token id | nonce 24 | proof 16 | of that version
//	+----+---------+------+----------+----------+----------+------------------
//
//	notice:
//	+----+----+------+----------+----------+----------------------------------------+
//	| 4A | 00 | part | token id | nonce 24 | sealed: version (1), length (1), build |
//	+----+----+------+----------+----------+----------------------------------------+
//
// The proof is the tag of an empty text with the head as additional data. Its key and that of the notice follow from the
// key in the token's Lock, as those of package join's other frames do: so nobody without a token gets a notice, and
// nobody else can send one. A notice is bound to the nonce of the request, and is never larger than the request.
const (
	contextVersion = "overlayd join version"

	noticeVersion = 0
	proofAt       = headLen + chacha20poly1305.NonceSizeX
	stableLen     = proofAt + chacha20poly1305.Overhead
	maxBuild      = 32 // bytes
	maxNotice     = proofAt + 2 + maxBuild + chacha20poly1305.Overhead
)

// head is the part of a request that all versions have; the slices are parts of the frame.
type head struct {
	version, part byte
	token         member.TokenID
	nonce         []byte
}

// parseHead reads the head of a request of any version.
func parseHead(frame []byte) (head, error) {
	if len(frame) < maxNotice || frame[0] != wire.FirstJoin || frame[1] == noticeVersion {
		return head{}, fmt.Errorf("join request: %w", member.ErrMalformed)
	}
	return head{
		version: frame[1], part: frame[2], token: member.TokenID(frame[3:headLen]), nonce: frame[headLen:proofAt],
	}, nil
}

// versionSeals are the keys that are the same in every version.
type versionSeals struct{ proof, notice cipher.AEAD }

func versionSealsOf(key [32]byte, network wire.NetworkID) versionSeals {
	okm := must(hkdf.Key(sha256.New, key[:], network[:], contextVersion, 2*chacha20poly1305.KeySize))
	return versionSeals{
		proof:  must(chacha20poly1305.NewX(okm[:chacha20poly1305.KeySize])),
		notice: must(chacha20poly1305.NewX(okm[chacha20poly1305.KeySize:])),
	}
}

// prove appends the proof to the head of a request.
func (s versionSeals) prove(frame []byte) []byte {
	return s.proof.Seal(frame, frame[headLen:proofAt], nil, frame[:headLen])
}

// proved reports whether whoever sent a request knows the invitation.
func (s versionSeals) proved(frame []byte) bool {
	_, err := s.proof.Open(nil, frame[headLen:proofAt], frame[proofAt:stableLen], frame[:headLen])
	return err == nil
}

// sealNotice answers a request of another version.
func (s versionSeals) sealNotice(random io.Reader, h head, build string) ([]byte, error) {
	build = build[:min(len(build), maxBuild)]
	frame := append(make([]byte, 0, maxNotice), wire.FirstJoin, noticeVersion, h.part|replyFlag)
	frame = append(frame, h.token[:]...)
	frame = frame[:proofAt]
	if _, err := io.ReadFull(random, frame[headLen:]); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	plain := append([]byte{version, byte(len(build))}, build...)
	return s.notice.Seal(frame, frame[headLen:], plain, replyAD(frame, h.nonce)), nil
}

// openNotice opens the notice that answers a request with the given token and nonce.
func (s versionSeals) openNotice(frame []byte, token member.TokenID, requestNonce []byte) (VersionError, error) {
	var e VersionError
	if len(frame) < stableLen+2 || frame[0] != wire.FirstJoin || frame[1] != noticeVersion || member.TokenID(frame[3:headLen]) != token {
		return e, fmt.Errorf("join notice: %w", member.ErrMalformed)
	}
	plain, err := s.notice.Open(nil, frame[headLen:proofAt], frame[proofAt:], replyAD(frame, requestNonce))
	if err != nil {
		return e, fmt.Errorf("join notice: %w", member.ErrSignature)
	}
	if plain[0] == noticeVersion || plain[0] == version || len(plain) < 2+int(plain[1]) {
		return e, fmt.Errorf("join notice: %w", member.ErrMalformed)
	}
	e.Version, e.Build = plain[0], string(plain[2:2+min(int(plain[1]), maxBuild)])
	return e, nil
}

func replyAD(frame, requestNonce []byte) []byte { return slices.Concat(frame[:headLen], requestNonce) }

// VersionError means that the members that answered speak another version of the join frames than this build.
type VersionError struct {
	Endpoint string // of one of them
	Version  uint8
	Build    string // not fit to be printed as it is
}

func (e VersionError) Error() string {
	build := "overlayd"
	if e.Build != "" {
		build += " " + strconv.Quote(e.Build)
	}
	return fmt.Sprintf("the member at %s runs %s, whose join protocol is version %d, and that of this node is version %d: upgrade %s",
		e.Endpoint, build, e.Version, version, older(e.Version, "this node", "that member"))
}

// otherVersion is a sentence for the person who runs the member that a newcomer of another version has asked.
func otherVersion(h head) string {
	return fmt.Sprintf("a newcomer with the token %.4x uses join protocol version %d, and this node version %d: upgrade %s",
		h.token, h.version, version, older(h.version, "this node", "the newcomer"))
}

// older is who has the older version: us, or them.
func older(theirs uint8, us, them string) string {
	if theirs < version {
		return them
	}
	return us
}
