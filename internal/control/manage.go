package control

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"overlayd/config"
)

// Bodies around what a Backend takes and returns.
type (
	membersBody struct {
		Members List[Member] `json:"members"`
	}
	invitesBody struct {
		Invites List[Invite] `json:"invites"`
	}
	revokedBody struct {
		Revoked List[Revoked] `json:"revoked"`
	}
	tokenBody struct {
		Token string `json:"token"`
	}
	idBody struct {
		ID string `json:"id"`
	}
	nodeBody struct {
		Node string `json:"node"`
	}
	forceBody struct {
		Force bool `json:"force"`
	}
	seedBody struct {
		Seed Seed `json:"seed"`
	}
)

// manage routes what concerns the membership.
func (s *Server) manage(mux *http.ServeMux, g guard) {
	mux.Handle("GET /v1/members", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		members, err := s.backend.Members(ctx)
		return membersBody{members}, err
	}))
	mux.Handle("GET /v1/invites", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		invites, err := s.backend.Invites(ctx)
		return invitesBody{invites}, err
	}))
	mux.Handle("GET /v1/revoked", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		revoked, err := s.backend.Revoked(ctx)
		return revokedBody{revoked}, err
	}))
	// The socket's group looks at the network and uses it; what changes who belongs to it, or what they may do in it, is
	// for those who could read the daemon's keys anyway.
	own := func(pattern string, h http.Handler) {
		mux.Handle(pattern, s.guarded(g.owns, "what changes the membership or its rights is only for root and the daemon's own user: run this with sudo", h))
	}
	own("POST /v1/invite", answer(s.invite))
	own("POST /v1/invites/cancel", change(s, s.cancelInvite))
	own("POST /v1/revoke", change(s, s.revoke))
	own("POST /v1/reinstate", change(s, s.reinstate))
	own("POST /v1/admin", change(s, s.setAdmin))
	own("POST /v1/subnets", change(s, s.setSubnet))
	own("POST /v1/leave", change(s, func(ctx context.Context, b forceBody) (any, error) {
		return struct{}{}, s.backend.Leave(ctx, b.Force)
	}))
	own("POST /v1/root/export", change(s, func(ctx context.Context, _ struct{}) (any, error) {
		seed, err := s.backend.ExportRoot(ctx)
		return seedBody{seed}, err
	}))
	own("POST /v1/root/restore", change(s, func(ctx context.Context, b seedBody) (any, error) {
		defer clear(b.Seed)
		if len(b.Seed) != SeedSize {
			return nil, fmt.Errorf("%w: a root key has %d bytes, and this has %d", ErrBadRequest, SeedSize, len(b.Seed))
		}
		return struct{}{}, s.backend.RestoreRoot(ctx, b.Seed)
	}))
	own("POST /v1/root/forget", change(s, func(ctx context.Context, b forceBody) (any, error) {
		return struct{}{}, s.backend.ForgetRoot(ctx, b.Force)
	}))
}

// change makes a handler of what alters the membership, and logs who asked and whether it was done; not what was asked,
// since that may be a key.
func change[T any](s *Server, f func(ctx context.Context, req T) (any, error)) http.Handler {
	return answer(func(ctx context.Context, r *http.Request, body []byte) (any, error) {
		var req T
		defer clear(body)
		if len(body) > 0 {
			if err := parseBody(body, &req); err != nil {
				return nil, err
			}
		}
		result, err := f(ctx, req)
		if err != nil {
			s.log.Warn("membership not changed", append(who(r), "err", err)...)
			return nil, err
		}
		s.log.Info("membership changed", who(r)...)
		return result, nil
	})
}

func (s *Server) invite(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req InviteRequest
	if err := parseBody(body, &req); err != nil {
		return nil, err
	}
	if req.TTL == 0 {
		req.TTL = Duration(defaultTTL)
	}
	if req.Uses == 0 {
		req.Uses = 1
	}
	switch {
	case req.TTL < 0 || time.Duration(req.TTL) > maxTTL:
		return nil, fmt.Errorf("%w: a token lives longer than nothing and at most %d days", ErrBadRequest, maxTTL/(24*time.Hour))
	case req.Uses < 0 || req.Uses > MaxUses:
		return nil, fmt.Errorf("%w: a token is good for 1 to %d nodes, not for %d", ErrBadRequest, MaxUses, req.Uses)
	case req.Uses > 1 && req.Name != "":
		return nil, fmt.Errorf("%w: only one node can be called %s: leave out the name, or invite for one use",
			ErrBadRequest, req.Name)
	case len(req.Subnets) > config.MaxSubnets:
		return nil, fmt.Errorf("%w: %d subnets are too many: name at most %d", ErrBadRequest, len(req.Subnets),
			config.MaxSubnets)
	}
	for _, p := range req.Subnets {
		if err := checkSubnet(p); err != nil {
			return nil, err
		}
	}
	token, err := s.backend.Invite(ctx, req)
	if err == nil {
		s.log.Info("invited", append(who(r), "name", req.Name, "ttl", time.Duration(req.TTL), "uses", req.Uses)...)
	}
	return tokenBody{Token: token}, err
}

const inviteIDLen = 16 // hexadecimal digits of Invite.ID

func (s *Server) cancelInvite(ctx context.Context, b idBody) (any, error) {
	id := strings.ToLower(b.ID)
	if id == "" || len(id) > inviteIDLen || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: %q is no identifier of an invitation: `overlayctl invite list` shows them",
			ErrBadRequest, b.ID)
	}
	return s.backend.CancelInvite(ctx, id)
}

func (s *Server) revoke(ctx context.Context, req RevokeRequest) (any, error) {
	if err := checkNode(req.Node); err != nil {
		return nil, err
	}
	return s.backend.Revoke(ctx, req)
}

func (s *Server) reinstate(ctx context.Context, b nodeBody) (any, error) {
	if err := checkNode(b.Node); err != nil {
		return nil, err
	}
	return s.backend.Reinstate(ctx, b.Node)
}

func (s *Server) setAdmin(ctx context.Context, req AdminRequest) (any, error) {
	if err := checkNode(req.Node); err != nil {
		return nil, err
	}
	return struct{}{}, s.backend.SetAdmin(ctx, req)
}

func (s *Server) setSubnet(ctx context.Context, req SubnetRequest) (any, error) {
	if err := checkNode(req.Node); err != nil {
		return nil, err
	}
	if err := checkSubnet(req.Subnet); err != nil {
		return nil, err
	}
	return struct{}{}, s.backend.SetSubnet(ctx, req)
}

func checkNode(node string) error {
	if node == "" {
		return fmt.Errorf("%w: no node is named: give its name, identifier or address", ErrBadRequest)
	}
	return nil
}

func checkSubnet(p netip.Prefix) error {
	if err := config.CheckSubnet(p); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return nil
}
