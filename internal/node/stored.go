package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/state"
)

// membership is what the state directory says that this node is.
type membership struct {
	network     *member.Network
	identity    member.Identity
	certificate *member.Certificate
	contact     Contact
	root        ed25519.PrivateKey // nil on most nodes
	items       [][]byte
	rules       []policy.Rule
	epoch       uint64
}

func load(dir *state.Dir, now time.Time) (m membership, err error) {
	stored, err := dir.Network()
	if err != nil {
		return m, err
	}
	m.network, m.contact = stored.Network, Contact(stored.Contact)
	if m.identity, err = dir.Identity(); errors.Is(err, state.ErrAbsent) {
		return m, refusal(dir, "identity", "is missing, and without the keys in it this node is not a member of %s: restore it "+
			"from a backup, or give this node a new identity with overlayd reset and then overlayd join with a new token", m.network.Name)
	} else if err != nil {
		return m, err
	}
	if m.certificate, err = m.network.CheckCertificate(stored.Certificate); err != nil { // whatever the clock shows
		return m, fmt.Errorf("the certificate of this node is not valid (%w): run overlayd reset and then overlayd join with a new token", err)
	}
	if m.certificate.Node != m.identity.ID() {
		return m, refusal(dir, "identity", "has the keys of another node than the certificate in the file network, which is for %s: "+
			"restore both from one backup, or give this node a new identity with overlayd reset and then overlayd join", m.certificate.Name)
	}
	if m.root, err = dir.RootKey(); err != nil && !errors.Is(err, state.ErrAbsent) {
		return m, err
	}
	if m.root != nil && member.NetworkID(m.root.Public().(ed25519.PublicKey)) != m.network.ID {
		return m, refusal(dir, "root", "has the root key of another network than %s: move it to where it belongs, and restore "+
			"the right one from a backup or with overlayctl root restore", m.network.Name)
	}
	if m.items, err = dir.Items(); err != nil {
		return m, err
	}
	if len(m.items) == 0 {
		m.items = stored.Known
	}
	if m.rules, err = dir.Rules(); err != nil {
		return m, err
	}
	m.epoch, err = dir.NextEpoch(now)
	return m, err
}

// maxKnown bounds the records that are kept with the network.
const maxKnown = 8

// store is what the file network is to say now: with the records of a few members, admins first, since without any this node
// could speak to nobody and so learn nothing.
func (n *Node) store(network *member.Network, certificate *member.Certificate) error {
	set := n.core.members
	var admins, others [][]byte
	for _, id := range set.IDs() {
		m, ok := set.Get(id)
		switch {
		case !ok || id == n.core.self || len(m.Record.Endpoints) == 0:
		case m.Admin:
			admins = append(admins, member.Item{Kind: member.KindRecord, Raw: m.Record.Raw()}.Stored())
		case len(others) < maxKnown:
			others = append(others, member.Item{Kind: member.KindRecord, Raw: m.Record.Raw()}.Stored())
		}
	}
	known := append(admins, others...)
	return n.dir.SaveNetwork(state.Membership{
		Network: network, Certificate: certificate.Raw(), Contact: state.Contact(n.contact), Known: known[:min(len(known), maxKnown)],
	})
}

// refusal is a sentence about a file of the state that only a person can put right.
func refusal(dir *state.Dir, name, format string, args ...any) error {
	return state.Refuse(fmt.Errorf("the file %s "+format, append([]any{filepath.Join(dir.Path(), name)}, args...)...))
}
