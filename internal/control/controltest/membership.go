package controltest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/control"
)

// Call is one call that was to change the membership.
type Call struct {
	Method string // of control.Backend
	Asked  any    // its argument; nil if it has none
}

// Calls are those so far that were to change the membership, other than Invite.
func (b *Backend) Calls() []Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// record notes a call, and is what it fails with.
func (b *Backend) record(method string, asked any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, Call{method, asked})
	return b.Failure
}

// Seed is the root key that the backend holds.
func Seed() control.Seed { return bytes.Repeat([]byte{7}, control.SeedSize) }

// Members implements control.Backend.
func (b *Backend) Members(context.Context) ([]control.Member, error) {
	return members(), b.Failure
}

func members() []control.Member {
	expires := Time().Add(90 * 24 * time.Hour)
	return []control.Member{
		{
			Name: "belmont", ID: "01", Addresses: addrs("10.71.0.1"), State: control.StateSelf, Admin: true, Relay: true,
			RelayPolicy: "auto", Ceiling: 20_000_000, Subnets: nets("192.168.7.0/24"), Issuer: control.ByRoot,
			Labels: control.Labels{"site": "belmont", "provider": "comcast"}, Expires: expires,
		},
		{
			Name: "boston", ID: "03", Addresses: addrs("10.71.0.3"), State: control.StateUp, RelayPolicy: "never",
			Subnets: nets("192.168.9.0/24", "fd00:9::/64"), Carries: nets("192.168.9.0/24"), Issuer: "belmont", Expires: expires,
		},
		{
			Name: "cambridge", ID: "02", State: control.StateIdle, Relay: true, RelayPolicy: "always", Issuer: "belmont",
			Expires: Time().Add(-time.Minute), Conflict: "boston holds the address 10.71.0.3, enrolled earlier",
		},
	}
}

// Invites implements control.Backend.
func (b *Backend) Invites(context.Context) ([]control.Invite, error) {
	return invites(), b.Failure
}

func invites() []control.Invite {
	return []control.Invite{
		{ID: "00112233445566ff", Name: "newton", Uses: 1, Expires: Time().Add(time.Hour), By: "belmont"},
		{
			ID: "aa112233445566ff", Uses: 20, Used: 3, Expires: Time().Add(26 * time.Hour), By: control.ByRoot,
			Subnets: nets("192.168.0.0/16"),
		},
	}
}

// CancelInvite implements control.Backend.
func (b *Backend) CancelInvite(_ context.Context, id string) (control.Invite, error) {
	if err := b.record("CancelInvite", id); err != nil {
		return control.Invite{}, err
	}
	for _, i := range invites() {
		if strings.HasPrefix(i.ID, id) {
			return i, nil
		}
	}
	return control.Invite{}, fmt.Errorf("%w as %s: `overlayctl invite list` shows those that are good", control.ErrUnknownInvite, id)
}

// Revoke implements control.Backend.
func (b *Backend) Revoke(_ context.Context, r control.RevokeRequest) (control.RevokeResult, error) {
	by := "belmont"
	if r.Annul {
		by = control.ByRoot
	}
	return b.ruling("Revoke", r, r.Node, by)
}

// Reinstate implements control.Backend.
func (b *Backend) Reinstate(_ context.Context, node string) (control.RevokeResult, error) {
	return b.ruling("Reinstate", node, node, control.ByRoot)
}

func (b *Backend) ruling(method string, asked any, node, by string) (control.RevokeResult, error) {
	if err := b.record(method, asked); err != nil {
		return control.RevokeResult{}, err
	}
	for _, m := range members() {
		if m.Name == node || m.ID == node {
			return control.RevokeResult{Node: m.Name, ID: m.ID, By: by}, nil
		}
	}
	return control.RevokeResult{}, fmt.Errorf("%w as %q", control.ErrUnknownPeer, node)
}

// Revoked implements control.Backend.
func (b *Backend) Revoked(context.Context) ([]control.Revoked, error) {
	return []control.Revoked{
		{ID: "0a", Name: "salem", By: control.ByRoot, Since: Time().Add(-time.Hour)},
		{ID: "0b", By: "0b", Since: Time().Add(-50 * time.Hour), Left: true},
	}, b.Failure
}

// SetAdmin implements control.Backend.
func (b *Backend) SetAdmin(_ context.Context, r control.AdminRequest) error {
	return b.record("SetAdmin", r)
}

// SetSubnet implements control.Backend.
func (b *Backend) SetSubnet(_ context.Context, r control.SubnetRequest) error {
	return b.record("SetSubnet", r)
}

// Leave implements control.Backend.
func (b *Backend) Leave(_ context.Context, force bool) error { return b.record("Leave", force) }

// ExportRoot implements control.Backend.
func (b *Backend) ExportRoot(context.Context) (control.Seed, error) {
	if err := b.record("ExportRoot", nil); err != nil {
		return nil, err
	}
	return Seed(), nil
}

// RestoreRoot implements control.Backend.
func (b *Backend) RestoreRoot(_ context.Context, seed control.Seed) error {
	return b.record("RestoreRoot", slices.Clone(seed))
}

// ForgetRoot implements control.Backend.
func (b *Backend) ForgetRoot(_ context.Context, force bool) error {
	return b.record("ForgetRoot", force)
}

func nets(texts ...string) control.List[netip.Prefix] {
	var list control.List[netip.Prefix]
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}
