package member

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"overlayd/internal/wire"
)

const (
	// MaxRecordLen bounds an encoded record in bytes, so that one fits a control frame.
	MaxRecordLen = 1100

	// MaxLabels bounds the labels of a record; a key has at most 16 bytes, a value at most 32.
	MaxLabels = 4

	maxLabelKey   = 16
	maxLabelValue = 32
	maxSequence   = 1 << 62

	// recordTooEarly is how far ahead of the clock a record may be dated: one from a clock that was years ahead would say
	// for years that its node is there.
	recordTooEarly = 24 * time.Hour
)

// Consent says whether a node relays for others.
type Consent uint8

// The kinds of consent.
const (
	RelayAuto   Consent = 0 // as the node itself judges
	RelayNever  Consent = 1
	RelayAlways Consent = 2
)

// String is the consent as the configuration writes it.
func (c Consent) String() string {
	switch c {
	case RelayNever:
		return "never"
	case RelayAlways:
		return "always"
	default:
		return "auto"
	}
}

// Statement is what a node says about itself in its record.
type Statement struct {
	Endpoints []netip.AddrPort // at most wire.MaxEndpoints
	Relay     Consent
	Ceiling   uint64         // bits a second that it relays for others at most; zero: no bound
	Subnets   []netip.Prefix // that its certificate allows; at most MaxSubnets
	Labels    map[string]string
	Version   string // of the build, for people; at most maxVersion bytes, printable
	Protocol  uint8  // of control frames that it speaks (package wire); zero: not said
}

// Record is what a node signed about itself. It is immutable; one in hand has been verified. Of two records of one node
// the higher sequence counts; of two with one sequence the greater payload, so that all nodes agree.
type Record struct {
	Statement
	Certificate *Certificate
	Sequence    uint64

	payload []byte
	raw     []byte
}

type recordPayload struct {
	Certificate []byte            `cbor:"1,keyasint"`
	Sequence    uint64            `cbor:"2,keyasint"`
	Endpoints   [][]byte          `cbor:"3,keyasint,omitempty"`
	Relay       Consent           `cbor:"4,keyasint,omitempty"`
	Subnets     [][]byte          `cbor:"5,keyasint,omitempty"`
	Labels      map[string]string `cbor:"6,keyasint,omitempty"`
	Ceiling     uint64            `cbor:"7,keyasint,omitempty"`
	Version     string            `cbor:"8,keyasint,omitempty"`
	Protocol    uint8             `cbor:"9,keyasint,omitempty"`
}

// Node is who signed the record.
func (r *Record) Node() wire.NodeID { return r.Certificate.Node }

// Raw is the signed encoding. The caller must not change it.
func (r *Record) Raw() []byte { return r.raw }

// VerifyRecord reads a record and believes it only if its certificate is believed at now and it is signed by the node
// that the certificate is for. A certificate that equals known, which may be nil, is not verified again.
func (n *Network) VerifyRecord(raw []byte, known *Certificate, now time.Time) (*Record, error) {
	r, err := n.checkRecord(raw, known)
	if err != nil {
		return nil, err
	}
	if err := r.Certificate.timely(now); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// CheckRecord is VerifyRecord whatever the time, which a Set looks at.
func (n *Network) CheckRecord(raw []byte) (*Record, error) { return n.checkRecord(raw, nil) }

// checkRecord is VerifyRecord whatever the time.
func (n *Network) checkRecord(raw []byte, known *Certificate) (*Record, error) {
	var records map[string]*Record
	if n.memory != nil {
		records = n.memory.records
	}
	return remembered(records, raw, func() (*Record, error) { return n.readRecord(raw, known) })
}

func (n *Network) readRecord(raw []byte, known *Certificate) (*Record, error) {
	e, p, err := parseRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	cert := known
	if !known.sameRaw(p.Certificate) {
		if cert, err = n.checkCertificate(p.Certificate); err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
	}
	r := &Record{Certificate: cert, Sequence: p.Sequence, payload: e.Payload, raw: raw}
	if r.Statement, err = p.statement(cert); err != nil {
		return nil, fmt.Errorf("record of %s: %w", cert.Name, err)
	}
	if err := e.verify(cert.Signing, contextRecord); err != nil {
		return nil, fmt.Errorf("record of %s: %w", cert.Name, err)
	}
	return r, nil
}

func parseRecord(raw []byte) (envelope, recordPayload, error) {
	var p recordPayload
	e, err := open(raw, MaxRecordLen)
	if err != nil {
		return e, p, err
	}
	if err := Decode(e.Payload, MaxRecordLen, &p); err != nil {
		return e, p, err
	}
	if p.Sequence == 0 || p.Sequence > maxSequence || p.Relay > RelayAlways {
		return e, p, fmt.Errorf("%w: sequence or relay consent", ErrMalformed)
	}
	return e, p, nil
}

// statement reads what the node says, and holds it to what its certificate allows.
func (p *recordPayload) statement(cert *Certificate) (Statement, error) {
	s := Statement{Relay: p.Relay, Ceiling: p.Ceiling, Labels: p.Labels, Version: shown(p.Version), Protocol: p.Protocol}
	if len(p.Endpoints) > wire.MaxEndpoints {
		return s, fmt.Errorf("%w: more than %d endpoints", ErrMalformed, wire.MaxEndpoints)
	}
	for _, b := range p.Endpoints {
		var ap netip.AddrPort
		if err := ap.UnmarshalBinary(b); err != nil || !usableEndpoint(ap) || (len(b) != 6 && len(b) != 18) {
			return s, fmt.Errorf("%w: endpoint", ErrMalformed)
		}
		s.Endpoints = append(s.Endpoints, ap)
	}
	var err error
	if s.Subnets, err = decodePrefixes(p.Subnets, MaxSubnets); err != nil {
		return s, err
	}
	for _, subnet := range s.Subnets {
		if !cert.allows(subnet) {
			return s, fmt.Errorf("%w: subnet %s is not allowed by the certificate", ErrMalformed, subnet)
		}
	}
	return s, validLabels(p.Labels)
}

func validLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("%w: more than %d labels", ErrMalformed, MaxLabels)
	}
	for k, v := range labels {
		if len(k) == 0 || len(k) > maxLabelKey || len(v) > maxLabelValue || !printable(k) || !printable(v) {
			return fmt.Errorf("%w: label", ErrMalformed)
		}
	}
	return nil
}

// printable reports whether s can be shown on a terminal as it is.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// maxVersion is how much of the name of a build is kept, in bytes.
const maxVersion = 32

// shown is the name of a build as it can be shown. Whatever a later build calls itself, its record is believed.
func shown(version string) string {
	version = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, version)
	return version[:min(len(version), maxVersion)]
}

// usableEndpoint reports whether ap can be sent to from elsewhere.
func usableEndpoint(ap netip.AddrPort) bool {
	a := ap.Addr()
	return ap.Port() != 0 && a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// payload is the statement under a certificate and sequence. Endpoints that cannot be used elsewhere are left out, and
// those at the end that do not fit.
func (s Statement) payload(cert *Certificate, sequence uint64) ([]byte, error) {
	if err := validLabels(s.Labels); err != nil {
		return nil, err
	}
	if len(s.Subnets) > MaxSubnets {
		return nil, fmt.Errorf("%w: more than %d subnets", ErrMalformed, MaxSubnets)
	}
	for _, subnet := range s.Subnets {
		if !cert.allows(subnet) {
			return nil, fmt.Errorf("subnet %s is not allowed by this node's certificate", subnet)
		}
	}
	p := recordPayload{
		Certificate: cert.raw, Sequence: sequence, Relay: s.Relay, Subnets: encodePrefixes(s.Subnets), Labels: s.Labels,
		Ceiling: s.Ceiling, Version: shown(s.Version), Protocol: s.Protocol,
	}
	for _, ap := range s.Endpoints {
		ap = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
		if usableEndpoint(ap) && len(p.Endpoints) < wire.MaxEndpoints {
			p.Endpoints = append(p.Endpoints, must(ap.MarshalBinary()))
		}
	}
	b := Encode(p)
	for len(b) > MaxRecordLen-envelopeOverhead {
		if len(p.Endpoints) == 0 {
			return nil, fmt.Errorf("%w: subnets and labels do not fit a record", ErrMalformed)
		}
		p.Endpoints = p.Endpoints[:len(p.Endpoints)-1]
		b = Encode(p)
	}
	return b, nil
}

// envelopeOverhead is what an envelope adds to a payload of less than 64 KiB, in bytes: array, lengths, signature.
const envelopeOverhead = 1 + 3 + 2 + 64

// SignRecord makes the record of a node: its statement under its certificate.
func SignRecord(id Identity, cert *Certificate, sequence uint64, s Statement) (*Record, error) {
	if cert.Node != id.ID() {
		return nil, fmt.Errorf("sign a record: the certificate is for another node: %w", ErrSignature)
	}
	payload, err := s.payload(cert, sequence)
	if err != nil {
		return nil, fmt.Errorf("sign a record: %w", err)
	}
	r := &Record{Certificate: cert, Sequence: sequence, payload: payload, raw: seal(id.signing, contextRecord, payload)}
	_, p, err := parseRecord(r.raw)
	if err != nil {
		return nil, fmt.Errorf("sign a record: %w", err)
	}
	r.Statement, err = p.statement(cert)
	return r, err
}

// clone is the statement with memory of its own.
func (s Statement) clone() Statement {
	s.Endpoints, s.Subnets, s.Labels = slices.Clone(s.Endpoints), slices.Clone(s.Subnets), maps.Clone(s.Labels)
	return s
}
