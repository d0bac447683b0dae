package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// maxAnswerLen bounds one answer, in bytes.
const maxAnswerLen = 64 << 20

// Client uses the API of one daemon. It may be used from many goroutines.
type Client struct {
	socket string
	http   *http.Client
}

var _ Backend = (*Client)(nil)

// NewClient is a client of the daemon at a socket. It connects when it is used.
func NewClient(socket string) *Client {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:    1,
		IdleConnTimeout: idleTimeout / 2,
	}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status describes the node.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Peers lists the other members.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	body, err := call[peersBody](ctx, c, http.MethodGet, "/v1/peers", nil)
	return body.Peers, err
}

// Paths tells how packets go.
func (c *Client) Paths(ctx context.Context, q PathsQuery) (Paths, error) {
	return call[Paths](ctx, c, http.MethodGet, "/v1/paths?"+q.values().Encode(), nil)
}

// Watch calls f with the paths now and then once every interval, until f fails, ctx ends or the daemon stops; it
// returns the error of f, that of ctx, or ErrNotRunning.
func (c *Client) Watch(ctx context.Context, q PathsQuery, interval time.Duration, f func(Paths) error) error {
	values := q.values()
	values.Set("watch", interval.String())
	resp, err := c.do(ctx, http.MethodGet, "/v1/paths?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	for {
		var p Paths
		if err := decoder.Decode(&p); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: overlayd on %s has stopped", ErrNotRunning, c.socket)
		}
		if err := f(p); err != nil {
			return err
		}
	}
}

// Invite makes a token.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (string, error) {
	body, err := call[tokenBody](ctx, c, http.MethodPost, "/v1/invite", r)
	return body.Token, err
}

// Members lists the whole network.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	body, err := call[membersBody](ctx, c, http.MethodGet, "/v1/members", nil)
	return body.Members, err
}

// Invites lists the tokens that are still good.
func (c *Client) Invites(ctx context.Context) ([]Invite, error) {
	body, err := call[invitesBody](ctx, c, http.MethodGet, "/v1/invites", nil)
	return body.Invites, err
}

// CancelInvite voids a token.
func (c *Client) CancelInvite(ctx context.Context, id string) (Invite, error) {
	return call[Invite](ctx, c, http.MethodPost, "/v1/invites/cancel", idBody{id})
}

// Revoke puts a node out of the network.
func (c *Client) Revoke(ctx context.Context, r RevokeRequest) (RevokeResult, error) {
	return call[RevokeResult](ctx, c, http.MethodPost, "/v1/revoke", r)
}

// Reinstate takes a node back.
func (c *Client) Reinstate(ctx context.Context, node string) (RevokeResult, error) {
	return call[RevokeResult](ctx, c, http.MethodPost, "/v1/reinstate", nodeBody{node})
}

// Revoked lists who was put out or left.
func (c *Client) Revoked(ctx context.Context) ([]Revoked, error) {
	body, err := call[revokedBody](ctx, c, http.MethodGet, "/v1/revoked", nil)
	return body.Revoked, err
}

// SetAdmin makes a node an admin, or one no more.
func (c *Client) SetAdmin(ctx context.Context, r AdminRequest) error {
	return c.post(ctx, "/v1/admin", r)
}

// SetSubnet lets a node advertise a network, or no more.
func (c *Client) SetSubnet(ctx context.Context, r SubnetRequest) error {
	return c.post(ctx, "/v1/subnets", r)
}

// Leave makes the node leave the network, and returns when the daemon has agreed to stop.
func (c *Client) Leave(ctx context.Context, force bool) error {
	return c.post(ctx, "/v1/leave", forceBody{force})
}

// ExportRoot is the network's root key.
func (c *Client) ExportRoot(ctx context.Context) (Seed, error) {
	body, err := call[seedBody](ctx, c, http.MethodPost, "/v1/root/export", struct{}{})
	return body.Seed, err
}

// RestoreRoot gives the node the network's root key.
func (c *Client) RestoreRoot(ctx context.Context, seed Seed) error {
	return c.post(ctx, "/v1/root/restore", seedBody{seed})
}

// ForgetRoot takes the root key off the node.
func (c *Client) ForgetRoot(ctx context.Context, force bool) error {
	return c.post(ctx, "/v1/root/forget", forceBody{force})
}

// Routes lists the rules that users made for paths.
func (c *Client) Routes(ctx context.Context) ([]Route, error) {
	body, err := call[routesBody](ctx, c, http.MethodGet, "/v1/routes", nil)
	return body.Routes, err
}

// AddRoute makes a rule for paths.
func (c *Client) AddRoute(ctx context.Context, r RouteRequest) (RouteResult, error) {
	return call[RouteResult](ctx, c, http.MethodPost, "/v1/routes", r)
}

// RemoveRoute takes rules for paths away.
func (c *Client) RemoveRoute(ctx context.Context, r RouteRemoval) ([]Route, error) {
	body, err := call[routesBody](ctx, c, http.MethodPost, "/v1/routes/remove", r)
	return body.Routes, err
}

// History tells what happened to paths.
func (c *Client) History(ctx context.Context, q HistoryQuery) (History, error) {
	return call[History](ctx, c, http.MethodGet, "/v1/history?"+q.values().Encode(), nil)
}

// WhatIf tells what would become of the paths without a node or a link.
func (c *Client) WhatIf(ctx context.Context, q WhatIfQuery) (WhatIf, error) {
	return call[WhatIf](ctx, c, http.MethodGet, "/v1/what-if?"+q.values().Encode(), nil)
}

// Ping measures one round trip.
func (c *Client) Ping(ctx context.Context, r PingRequest) (PingResult, error) {
	return call[PingResult](ctx, c, http.MethodPost, "/v1/ping", r)
}

// Down asks the daemon to stop, and returns when it has agreed.
func (c *Client) Down(ctx context.Context) error { return c.post(ctx, "/v1/down", struct{}{}) }

// post is one request whose answer says nothing.
func (c *Client) post(ctx context.Context, path string, body any) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, path, body)
	return err
}

func (q PathsQuery) values() url.Values {
	v := url.Values{}
	if q.Peer != "" {
		v.Set("peer", q.Peer)
	}
	return v
}

// call is one request with one JSON answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerLen)).Decode(&out); err != nil {
		return out, fmt.Errorf("answer of overlayd on %s: %w", c.socket, err)
	}
	return out, nil
}

// do is one request; an answer that failed comes back as its error.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://overlayd"+path, reader)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBodyLen)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("overlayd on %s answered %s", c.socket, resp.Status)
	}
	return nil, f.err()
}

// explain says what to do when no daemon can be talked to.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: no overlayd answers on %s: start one with `sudo overlayd up`, or name its socket with --socket",
			ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s is closed to this user: run as root%s", ErrPermission, c.socket, groupHint(c.socket))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the made-up URL
	}
	return fmt.Errorf("overlayd on %s: %w", c.socket, err)
}

// groupHint names the group that a socket is open to, if that is another than root's.
func groupHint(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return ""
	}
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", or join the group %s", g.Name)
}
