package state

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
)

// Membership is the content of the file network: what makes this node a member.
type Membership struct {
	Network     *member.Network
	Certificate []byte // this node's own; whether it is valid now, Network.VerifyCertificate tells
	Contact     Contact
	Known       [][]byte // records of a few members, as Items has them: enough to learn the others from, should all items be lost
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
	Settings    []byte   `cbor:"1,keyasint"`
	Certificate []byte   `cbor:"2,keyasint"`
	Inviter     []byte   `cbor:"3,keyasint,omitempty"`
	Reached     string   `cbor:"4,keyasint,omitempty"` // ADDRESS:PORT
	Known       [][]byte `cbor:"5,keyasint,omitempty"`
}

// Identity reads the node's keys; ErrAbsent on a node that has none yet.
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
		return Membership{}, d.unusable(networkFile, fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	m := Membership{Network: n, Certificate: c.Certificate, Known: c.Known}
	if c.Reached != "" {
		copy(m.Contact.Node[:], c.Inviter)
		if m.Contact.Endpoint, err = netip.ParseAddrPort(c.Reached); err != nil {
			return Membership{}, d.unusable(networkFile, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
	}
	return m, nil
}

// SaveNetwork stores the network that this node is a member of.
func (d *Dir) SaveNetwork(m Membership) error {
	c := networkContent{Settings: m.Network.Raw(), Certificate: m.Certificate, Known: m.Known}
	if m.Contact.Endpoint.IsValid() {
		c.Inviter, c.Reached = m.Contact.Node[:], m.Contact.Endpoint.String()
	}
	return d.write(networkFile, c)
}

// Items reads what is known of the members, in the form of member.Item.Stored; none if there is no such file. It adds what
// only the copy has: an older file that somebody put back must not forget who was revoked since.
func (d *Dir) Items() ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var items, copied [][]byte
	if err := d.readLocked(recordsFile, &items); errors.Is(err, ErrAbsent) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := d.load(recordsFile, recordsFile.copyName(), &copied); err != nil {
		return items, nil
	}
	known := make(map[string]bool, len(items))
	for _, item := range items {
		known[string(item)] = true
	}
	for _, item := range copied {
		if !known[string(item)] {
			items = append(items, item)
		}
	}
	return items, nil
}

// SaveItems stores what is known of the members, and a copy.
func (d *Dir) SaveItems(items [][]byte) error { return d.write(recordsFile, items) }

// UpdateItems stores what is known of the members, and leaves the copy as it is: for a file that is written often.
func (d *Dir) UpdateItems(items [][]byte) error {
	f := recordsFile
	f.copy = false
	return d.write(f, items)
}

// CopyItems makes the copy the same as what UpdateItems stored last. Other methods need not wait for it.
func (d *Dir) CopyItems() error {
	d.mu.Lock()
	var ignored cbor.RawMessage
	raw, err := d.load(recordsFile, recordsFile.name, &ignored)
	d.mu.Unlock()
	if err != nil {
		return fmt.Errorf("copy %s: %w", d.pathOf(recordsFile.name), err)
	}
	return d.put(recordsFile.copyName(), raw)
}

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
		return nil, d.unusable(policyFile, fmt.Errorf("%w: %w", ErrDamaged, err))
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

// Pending is a join that did not complete: the token and the name that overlayd join was given.
type Pending struct {
	Token string `cbor:"1,keyasint"`
	Name  string `cbor:"2,keyasint"`
}

// Pending reads the join that did not complete; ErrAbsent if there is none.
func (d *Dir) Pending() (p Pending, err error) {
	err = d.read(pendingFile, &p)
	return p, err
}

// SavePending stores a join that has not completed yet.
func (d *Dir) SavePending(p Pending) error { return d.write(pendingFile, p) }

// RemovePending forgets it.
func (d *Dir) RemovePending() error { return d.remove(pendingFile) }

// ForgetNetwork removes what belongs to the network that this node is in, but for what SaveNetwork and SaveItems replace.
func (d *Dir) ForgetNetwork() error {
	return errors.Join(d.remove(rootFile), d.remove(policyFile))
}

// Forget removes all that makes this node a member, and its keys: it may join again as a new node. What it removes last is
// the network, so that a Forget that broke off can be repeated.
func (d *Dir) Forget() error {
	for _, f := range []file{pendingFile, rootFile, policyFile, recordsFile, identityFile, networkFile} {
		if err := d.remove(f); err != nil {
			return err
		}
	}
	return nil
}

// Ran reports whether a node has ever run from this directory, in a network that it may have left since.
func (d *Dir) Ran() bool {
	for _, name := range []string{epochFile.name, epochFile.copyName()} {
		if _, err := os.Lstat(d.pathOf(name)); err == nil {
			return true
		}
	}
	return false
}

// maxEpoch is far in the future: whatever is beyond it was not written by NextEpoch.
const maxEpoch = 1 << 60

// NextEpoch is the time now in microseconds since 1970, or, if the clock went back, more than ever before. It is even:
// odd epochs are those that a run takes later (package seal). It is stored before it is returned. Where it cannot be
// stored it grows at least by the time since this machine was booted, so that no two starts since then have the same, and
// a notice says what the node will forget.
func (d *Dir) NextEpoch(now time.Time) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var last, kept uint64
	if err := d.readLocked(epochFile, &last); err != nil && !errors.Is(err, ErrAbsent) {
		return 0, err
	}
	if _, err := d.load(epochFile, epochFile.copyName(), &kept); err == nil {
		last = max(last, kept)
	}
	if last > maxEpoch {
		d.notice("the file %s is not usable (it says %d): %s", d.pathOf(epochFile.name), last, epochFile.help)
		last = 0
	}
	clock := uint64(max(now.UnixMicro(), 1))
	epoch := even(max(clock, last+1))
	if err := d.replace(epochFile, epoch); err != nil {
		d.notice("the state directory %s cannot be written (%v): this node runs from memory, and when it ends it forgets the "+
			"members, revocations, certificate and rules that it learns from now on; make room, or mount it writable", d.path, err)
		epoch = even(max(clock, last+1+uint64(sinceBoot().Microseconds())))
	}
	return epoch, nil
}

// even rounds an epoch up.
func even(epoch uint64) uint64 { return (epoch + 1) &^ 1 }

// sinceBoot is how long this machine runs, with the time that it was suspended.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
