package join

import (
	"crypto/ed25519"
	"slices"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

const (
	contextTicket = "overlayd ticket v1" // that a newcomer signs in

	longName = 126 // bytes: a name that is too long is answered up to here
)

// requestBody is what the newcomer says.
type requestBody struct {
	WireGuard []byte `cbor:"1,keyasint,omitempty"` // partCertificate: its public keys
	Signing   []byte `cbor:"2,keyasint,omitempty"`
	Name      string `cbor:"3,keyasint,omitempty"` // that it wants
	Proof     []byte `cbor:"4,keyasint,omitempty"` // signature with its signing key over all of these
	Ticket    []byte `cbor:"5,keyasint,omitempty"` // signature with the token's key over the same
	Record    []byte `cbor:"6,keyasint,omitempty"` // partRecord: its record
	Index     int    `cbor:"7,keyasint,omitempty"` // partMore: which one
}

// replyBody is what a member says.
type replyBody struct {
	Status  status `cbor:"1,keyasint,omitempty"`
	Text    string `cbor:"2,keyasint,omitempty"` // for statusOtherName: the name that the token is for
	Public  []byte `cbor:"3,keyasint,omitempty"` // partCertificate: an X25519 key made for this answer
	Granted []byte `cbor:"4,keyasint,omitempty"` // and, sealed with it and the newcomer's, a granted
	Record  []byte `cbor:"5,keyasint,omitempty"` // of the member asked, or of another one
}

// ticket is what a newcomer signs, to show that it has its signing key and the token.
func (b *requestBody) ticket(network wire.NetworkID, token member.TokenID) []byte {
	return slices.Concat(network[:], token[:], b.WireGuard, b.Signing, []byte(b.Name))
}

// sign makes the two signatures of a request for a certificate.
func (b *requestBody) sign(id member.Identity, t *Token) {
	payload := b.ticket(t.Network(), t.ID)
	b.Proof = id.Sign(contextTicket, payload)
	b.Ticket = ed25519.Sign(t.Secret.signing(), member.Signed(contextTicket, payload))
}

// applicant is who makes a request for a certificate; false if that one has not the token, or not the signing key.
func (b *requestBody) applicant(network wire.NetworkID, lock *member.Lock) (member.Applicant, bool) {
	if len(b.WireGuard) != len(member.Key{}) || len(b.Signing) != ed25519.PublicKeySize || len(b.Name) > longName {
		return member.Applicant{}, false
	}
	payload := member.Signed(contextTicket, b.ticket(network, lock.ID))
	if !ed25519.Verify(lock.Public[:], payload, b.Ticket) || !ed25519.Verify(b.Signing, payload, b.Proof) {
		return member.Applicant{}, false
	}
	return member.Applicant{WireGuard: member.Key(b.WireGuard), Signing: b.Signing, Name: b.Name}, true
}
