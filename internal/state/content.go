package state

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
)

// Membership is the content of the file network: what makes this node a member.
type Membership struct {
	Network     *member.Network
	Certificate []byte // this node's own; whether it is valid now, Network.VerifyCertificate tells
	Contact     Contact
}

// Contact is where this node reached its inviter when it joined; zero on the node that made the network.
type Contact struct {
	Node     wire.NodeID
	Endpoint netip.AddrPort
}

type identityContent struct {
	WireGuard [32]byte `cbor:"1,keyasint"`
	Signing   [32]byte `cbor:"2,keyasint"`
}

type networkContent struct {
	Settings    []byte `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"`
	Inviter     []byte `cbor:"3,keyasint,omitempty"`
	Reached     string `cbor:"4,keyasint,omitempty"` // ADDRESS:PORT
}

// Identity reads the node's keys.
func (d *Dir) Identity() (member.Identity, error) {
	var c identityContent
	if err := d.read(identityFile, &c); err != nil {
		return member.Identity{}, err
	}
	return member.IdentityFromKeys(c.WireGuard, c.Signing), nil
}

// CreateIdentity stores the node's keys; ErrExists if there are some.
func (d *Dir) CreateIdentity(id member.Identity) error {
	private, seed := id.PrivateKeys()
	return d.create(identityFile, identityContent{WireGuard: private, Signing: seed})
}

// RootKey reads the network's root key; ErrAbsent on all nodes but its holder.
func (d *Dir) RootKey() (ed25519.PrivateKey, error) {
	var seed [ed25519.SeedSize]byte
	if err := d.read(rootFile, &seed); err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// CreateRootKey stores the network's root key; ErrExists if there is one.
func (d *Dir) CreateRootKey(key ed25519.PrivateKey) error {
	return d.create(rootFile, [ed25519.SeedSize]byte(key.Seed()))
}

// Network reads the network that this node is a member of; ErrAbsent if it is of none yet.
func (d *Dir) Network() (Membership, error) {
	var c networkContent
	if err := d.read(networkFile, &c); err != nil {
		return Membership{}, err
	}
	n, err := member.ParseNetwork(c.Settings)
	if err != nil {
		return Membership{}, d.damaged(networkFile, fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	m := Membership{Network: n, Certificate: c.Certificate}
	if c.Reached != "" {
		copy(m.Contact.Node[:], c.Inviter)
		if m.Contact.Endpoint, err = netip.ParseAddrPort(c.Reached); err != nil {
			return Membership{}, d.damaged(networkFile, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
	}
	return m, nil
}

// SaveNetwork stores the network that this node is a member of.
func (d *Dir) SaveNetwork(m Membership) error {
	c := networkContent{Settings: m.Network.Raw(), Certificate: m.Certificate}
	if m.Contact.Endpoint.IsValid() {
		c.Inviter, c.Reached = m.Contact.Node[:], m.Contact.Endpoint.String()
	}
	return d.write(networkFile, c)
}

// Items reads what is known of the members, in the form of member.Item.Stored; none if there is no such file.
func (d *Dir) Items() ([][]byte, error) {
	var items [][]byte
	if err := d.read(recordsFile, &items); err != nil && !errors.Is(err, ErrAbsent) {
		return nil, err
	}
	return items, nil
}

// SaveItems stores what is known of the members.
func (d *Dir) SaveItems(items [][]byte) error { return d.write(recordsFile, items) }

// Rules reads the rules that users made for paths; none if there is no such file.
func (d *Dir) Rules() ([]policy.Rule, error) {
	var content []byte
	if err := d.read(policyFile, &content); errors.Is(err, ErrAbsent) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	rules, err := policy.Parse(content)
	if err != nil {
		return nil, d.damaged(policyFile, fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	return rules, nil
}

// SaveRules stores the rules that users made for paths.
func (d *Dir) SaveRules(rules []policy.Rule) error {
	content, err := policy.Append(nil, rules)
	if err != nil {
		return err
	}
	return d.write(policyFile, content)
}

// RemoveRootKey removes the network's root key.
func (d *Dir) RemoveRootKey() error { return d.remove(rootFile) }

// Forget removes all that makes this node a member, and its keys: it may join again as a new node. What it removes last is
// the network, so that a Forget that broke off can be repeated.
func (d *Dir) Forget() error {
	for _, f := range []file{rootFile, policyFile, recordsFile, identityFile, networkFile} {
		if err := d.remove(f); err != nil {
			return err
		}
	}
	return nil
}

// Ran reports whether a node has ever run from this directory, in a network that it may have left since.
func (d *Dir) Ran() bool {
	_, err := os.Lstat(filepath.Join(d.path, epochFile.name))
	return err == nil
}

// NextEpoch is the time now in microseconds since 1970, or, if the clock went back, more than ever before. It is even:
// odd epochs are those that a run takes later (package seal). It is stored before it is returned.
func (d *Dir) NextEpoch(now time.Time) (uint64, error) {
	var last uint64
	if err := d.read(epochFile, &last); err != nil && !errors.Is(err, ErrAbsent) {
		return 0, err
	}
	epoch := (max(uint64(max(now.UnixMicro(), 1)), last+1) + 1) &^ 1
	return epoch, d.write(epochFile, epoch)
}
