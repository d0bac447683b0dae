package sim

import (
	"fmt"
	"net/netip"

	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/wire"
)

// Census holds the invariants of the membership. After every step it looks at the host that was stepped, and panics with
// what is wrong:
//
//   - a node that a host knows to be out is no contact of it, stands nowhere in its table, has no session with it, and its
//     frames have no effect
//   - nothing is stored that was not signed by who may sign it: the simulation knows all that was signed, since it holds
//     all the keys
//   - a contact that a host has picked is not displaced by what somebody sends, and contacts stay within the bound
type Census struct {
	Slack int // contacts beyond the bound on guests: those that data flows to

	net    *Net
	strict *member.Network       // verifies by itself: it remembers nothing
	signed map[string]bool       // all that was signed by who may, in the form that is stored
	outs   map[wire.NodeID]*Host // that somebody has put out
}

// census is what was last seen of a host.
type census struct {
	own    *member.Record
	looked [][]byte
	state  contacts
}

// contacts is what a host had when it was last looked at.
type contacts struct {
	digest uint64
	picked int
	epoch  uint64
}

// Watch begins to hold the invariants, before any host has started.
func (f *Founder) Watch() *Census {
	strict, err := member.ParseNetwork(f.Network.Raw())
	must(err)
	c := &Census{
		Slack: 16, net: f.net, strict: strict, signed: make(map[string]bool), outs: make(map[wire.NodeID]*Host),
	}
	c.sign(member.Item{Kind: member.KindSettings, Raw: f.Network.Raw()})
	for _, h := range f.net.hosts {
		for _, stored := range h.saved {
			it, err := member.ParseStored(stored)
			must(err)
			c.sign(it)
		}
	}
	f.net.Census = c
	return c
}

// sign notes what somebody has signed, and the certificate in it: a node keeps an earlier one of its own by itself.
func (c *Census) sign(items ...member.Item) {
	for _, it := range items {
		stored := string(it.Stored())
		if c.signed[stored] {
			continue
		}
		c.signed[stored] = true
		if it.Kind != member.KindRecord {
			continue
		}
		if r, err := c.strict.VerifyRecord(it.Raw, nil, c.net.now); err == nil {
			c.signed[string(member.Item{Kind: member.KindCertificate, Raw: r.Certificate.Raw()}.Stored())] = true
		}
	}
}

func (c *Census) fail(h *Host, format string, args ...any) {
	panic(fmt.Sprintf("seed %d, at %v: %s %s", c.net.Seed, c.net.Now(), h.Name, fmt.Sprintf(format, args...)))
}

// joined notes what a newcomer has signed.
func (c *Census) joined(h *Host, out join.Joined) {
	for _, stored := range out.Items {
		it, err := member.ParseStored(stored)
		must(err)
		if r, err := c.strict.VerifyRecord(it.Raw, nil, h.now()); err == nil && r.Node() == h.ID {
			c.sign(it)
		}
	}
}

// look holds the invariants at a host after a step.
func (c *Census) look(h *Host, in node.Input) {
	set := h.Core.Members()
	if own := set.Own(); own != nil && h.own != own {
		h.own = own
		c.sign(member.Item{Kind: member.KindRecord, Raw: own.Raw()})
	}
	published, expelled := false, make(map[wire.NodeID]bool)
	told := make(map[netip.AddrPort]bool)
	for _, out := range h.outputs {
		switch out := out.(type) {
		case node.Publish:
			published = true
		case node.Send:
			told[out.Hop.Addr] = true
		case node.RemovePeer:
			expelled[out.ID] = true // in this step: it may have said so itself
		case node.SaveMembers:
			c.holdsWhatWasSigned(h, out)
		}
	}
	if d, ok := in.(node.Datagram); ok {
		sender := c.net.hostAt(d.From)
		if sender != nil && c.outs[sender.ID] != nil && told[d.From] && d.Path == nil &&
			c.knows(h, sender.ID) && !expelled[sender.ID] {
			c.fail(h, "answers %s, which is out", sender.Name)
		}
	}
	if published && len(c.outs) > 0 {
		c.dealsWithNobodyOut(h)
	}
	c.keepsItsPicks(h, in)
}

// knows reports whether a host knows that a node is out. The host itself need not go.
func (c *Census) knows(h *Host, id wire.NodeID) bool {
	_, out := h.Core.Members().Revoked(id)
	return out && id != h.ID
}

func (c *Census) dealsWithNobodyOut(h *Host) {
	out := func(id wire.NodeID) bool { return c.outs[id] != nil && c.knows(h, id) }
	for id, other := range c.outs {
		if (h.partners[other] || h.Core.InContact(id) || h.table.Routes[id] != nil || h.inSession(other)) && out(id) {
			c.fail(h, "deals with %s, which it knows to be out", other.Name)
		}
	}
	for at, path := range h.table.Sources {
		if out(path.Peer) {
			c.fail(h, "takes frames from %s, of %s, which it knows to be out", at, c.net.byID[path.Peer].Name)
		}
	}
	for label, e := range h.table.Labels {
		to := (*Host)(nil)
		if e.Switch != nil {
			to = c.net.hostAt(e.Switch.To.Addr)
		}
		if out(e.From) || to != nil && out(to.ID) {
			c.fail(h, "has label %s for a node that it knows to be out", label)
		}
	}
}

// delivered holds that no data of a node that is out comes through.
func (c *Census) delivered(h, from *Host) {
	if c.outs[from.ID] != nil && c.knows(h, from.ID) {
		c.fail(h, "takes data from %s, which it knows to be out", from.Name)
	}
}

// holdsWhatWasSigned looks at what a host stores, as far as it has not stored it before.
func (c *Census) holdsWhatWasSigned(h *Host, save node.SaveMembers) {
	before := h.looked
	h.looked = save.Items
	for i, stored := range save.Items {
		if i < len(before) && &before[i][0] == &stored[0] || c.signed[string(stored)] {
			continue
		}
		it, err := member.ParseStored(stored)
		must(err)
		signer, err := c.signerOf(h, it)
		switch {
		case err != nil:
			c.fail(h, "stores an item of kind %d that nobody can have signed: %v", it.Kind, err)
		case signer == nil && (!save.Now || h.cfg.Root == nil):
			c.fail(h, "stores an item of kind %d of the root, which has not signed it", it.Kind)
		case signer != nil && (!save.Now || signer != h && !signer.Joining()):
			c.fail(h, "stores an item of kind %d of %s, which has not signed it", it.Kind, signer.Name)
		}
		c.sign(it)
		c.notes(it)
	}
}

// signerOf is the host that an item is signed by, nil for the root's; an error if the signature is none.
func (c *Census) signerOf(h *Host, it member.Item) (*Host, error) {
	var signer wire.NodeID
	switch it.Kind {
	case member.KindRecord:
		r, err := c.strict.VerifyRecord(it.Raw, nil, h.now())
		if err != nil {
			return nil, err
		}
		return c.net.byID[r.Node()], nil
	case member.KindVerdict:
		v, err := c.strict.VerifyVerdict(it.Raw)
		if err != nil {
			return nil, err
		}
		signer = v.Signer
	case member.KindCertificate:
		cert, err := c.strict.VerifyCertificate(it.Raw, h.now())
		if err != nil {
			return nil, err
		}
		signer = cert.Issuer
	case member.KindInvitation:
		i, err := c.strict.VerifyInvitation(it.Raw)
		if err != nil {
			return nil, err
		}
		signer = i.By
	default:
		return nil, fmt.Errorf("kind %d", it.Kind)
	}
	if signer.IsZero() {
		return nil, nil
	}
	return c.net.byID[signer], nil
}

// notes who is out by an item.
func (c *Census) notes(it member.Item) {
	if it.Kind != member.KindVerdict {
		return
	}
	if v, err := c.strict.VerifyVerdict(it.Raw); err == nil && v.Rank == member.Out {
		c.outs[v.Target] = c.net.byID[v.Target]
	}
}

// keepsItsPicks: a datagram never costs a host a contact that it has picked, unless it tells that this one is out; and
// there are never more contacts than there may be.
func (c *Census) keepsItsPicks(h *Host, in node.Input) {
	before, now := h.state, contacts{digest: h.Core.Members().Digest(), epoch: h.epoch}
	picked, others := h.Core.Contacts()
	now.picked = picked
	h.state = now
	if _, ok := in.(node.Datagram); ok && before.epoch == now.epoch && picked < before.picked && before.digest == now.digest {
		c.fail(h, "has lost %d contacts that it had picked to a datagram", before.picked-picked)
	}
	if want, guests := h.Core.Bounds(); picked > want+want/4+1 || others > guests+c.Slack {
		c.fail(h, "keeps %d picked and %d other contacts, where %d and %d are the bound", picked, others, want, guests)
	}
}
