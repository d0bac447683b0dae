package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func client(t testing.TB, b control.Backend) (*control.Client, string, func()) {
	t.Helper()
	socket, stop := controltest.Serve(t, b)
	c := control.NewClient(socket)
	t.Cleanup(c.Close)
	return c, socket, stop
}

// get is the body of one plain HTTP request, as curl would send it.
func get(t testing.TB, socket, method, path, body string) (int, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", socket)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://o"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestJSONIsTheContract(t *testing.T) {
	_, socket, _ := client(t, &controltest.Backend{RTT: 21400 * time.Microsecond})
	for _, tt := range []struct{ name, method, path, body string }{
		{"status", "GET", "/v1/status", ""},
		{"peers", "GET", "/v1/peers", ""},
		{"paths", "GET", "/v1/paths", ""},
		{"invite", "POST", "/v1/invite", `{"ttl": "1h", "name": "boston"}`},
		{"ping", "POST", "/v1/ping", `{"peer": "boston", "via": []}`},
		{"down", "POST", "/v1/down", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, got := get(t, socket, tt.method, tt.path, tt.body)
			if status != http.StatusOK {
				t.Fatalf("status %d: %s", status, got)
			}
			golden(t, filepath.Join("testdata", tt.name+".json"), indent(t, got))
		})
	}
}

func indent(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(json.RawMessage(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares with a file; GOLDEN=write in the environment writes it instead.
func golden(t testing.TB, path, got string) {
	t.Helper()
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestClientGetsWhatTheBackendSays(t *testing.T) {
	b := &controltest.Backend{RTT: 5 * time.Millisecond}
	c, _, _ := client(t, b)
	ctx := t.Context()
	compare := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty()}
	check := func(name string, got, want any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	status, err := c.Status(ctx)
	wantStatus, _ := b.Status(ctx)
	check("status", status, wantStatus, err)
	peers, err := c.Peers(ctx)
	wantPeers, _ := b.Peers(ctx)
	check("peers", peers, wantPeers, err)
	q := control.PathsQuery{Peer: "boston"}
	paths, err := c.Paths(ctx, q)
	wantPaths, _ := b.Paths(ctx, q)
	check("paths", paths, wantPaths, err)
	token, err := c.Invite(ctx, control.InviteRequest{Name: "newton", Endpoint: "example.org:1"})
	check("invite", token, "overlayd1-TOKEN", err)
	check("invited", b.Invited(), []control.InviteRequest{
		{Name: "newton", TTL: control.Duration(24 * time.Hour), Endpoint: "example.org:1", Uses: 1},
	}, nil)
	if err := c.Down(ctx); err != nil || !b.WentDown() {
		t.Errorf("down: %v", err)
	}
}

func TestPingTellsDirectFromAnyPath(t *testing.T) {
	b := &controltest.Backend{RTT: 5 * time.Millisecond}
	c, _, _ := client(t, b)
	for _, via := range [][]string{nil, {}, {"newton", "cambridge"}} {
		if _, err := c.Ping(t.Context(), control.PingRequest{Peer: "boston", Via: via}); err != nil {
			t.Fatal(err)
		}
	}
	got := b.Pinged()
	if len(got) != 3 || got[0].Via != nil || got[1].Via == nil || len(got[1].Via) != 0 || len(got[2].Via) != 2 {
		t.Errorf("the backend saw %+v", got)
	}
}

func TestPingWithoutAnswerEndsInTime(t *testing.T) {
	c, _, _ := client(t, &controltest.Backend{})
	_, err := c.Ping(t.Context(), control.PingRequest{Peer: "boston", Timeout: control.Duration(20 * time.Millisecond)})
	if !errors.Is(err, control.ErrNoAnswer) || err.Error() != "no answer within 20ms" {
		t.Errorf("got %v", err)
	}
}

func TestErrorsKeepTheirWordsAndTheirMeaning(t *testing.T) {
	for _, sentinel := range []error{
		control.ErrUnknownPeer, control.ErrUnknownInvite, control.ErrUnknownRoute, control.ErrNotAdmin, control.ErrNotRoot, control.ErrRevoked,
		control.ErrNoPath, control.ErrNoAnswer,
	} {
		b := &controltest.Backend{Failure: fmt.Errorf("%w: try another", sentinel)}
		c, _, _ := client(t, b)
		_, err := c.Invite(t.Context(), control.InviteRequest{})
		if !errors.Is(err, sentinel) || err.Error() != sentinel.Error()+": try another" {
			t.Errorf("%v came back as %v", sentinel, err)
		}
	}
	for _, sentinel := range []error{control.ErrBadRequest, control.ErrConflict} {
		c, _, _ := client(t, &controltest.Backend{Failure: fmt.Errorf("%w: no such name", sentinel)})
		_, err := c.Invite(t.Context(), control.InviteRequest{})
		if !errors.Is(err, sentinel) || err.Error() != "no such name" {
			t.Errorf("%v came back as %v", sentinel, err)
		}
	}
	c, _, _ := client(t, &controltest.Backend{Failure: errors.New("odd")})
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "odd" {
		t.Errorf("got %v", err)
	}
}

func TestBadRequestsAreRefusedInJSON(t *testing.T) {
	_, socket, _ := client(t, &controltest.Backend{})
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "/v1/invite", `{"tll": "1h"}`, `unknown field \"tll\"`},
		{"POST", "/v1/invite", `{"ttl": "1"}`, `missing unit`},
		{"POST", "/v1/invite", `{"ttl": "-1h"}`, `a token lives longer than nothing`},
		{"POST", "/v1/invite", `{"ttl": "9000h"}`, `a token lives longer than nothing and at most 30 days`},
		{"POST", "/v1/invite", `{}{}`, `more than one value`},
		{"POST", "/v1/ping", ``, `EOF`},
		{"POST", "/v1/ping", `{"peer": "` + strings.Repeat("x", 70000) + `"}`, `too large`},
		{"GET", "/v1/paths?watch=soon", ``, `watch=\"soon\" is no time such as 1s`},
		{"GET", "/v2", ``, `there is no GET /v2`},
		{"DELETE", "/v1/status", ``, `there is no DELETE /v1/status`},
	} {
		status, got := get(t, socket, tt.method, tt.path, tt.body)
		if status != http.StatusBadRequest || !strings.Contains(got, `"code":"bad-request"`) || !strings.Contains(got, tt.want) {
			t.Errorf("%s %s %.40s: %d %s, want %s", tt.method, tt.path, tt.body, status, got, tt.want)
		}
	}
}

func TestWatchFollowsTheSelection(t *testing.T) {
	b := &controltest.Backend{}
	c, _, stop := client(t, b)
	seen := 0
	err := c.Watch(t.Context(), control.PathsQuery{Peer: "boston"}, time.Millisecond, func(p control.Paths) error {
		if got, want := p.Peers[0].Switches, 3+seen; got != want {
			t.Errorf("line %d: %d switches, want %d", seen, got, want)
		}
		b.Switch()
		if seen++; seen == 3 {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || seen != 3 {
		t.Errorf("ended with %v after %d lines", err, seen)
	}
	err = c.Watch(t.Context(), control.PathsQuery{}, time.Millisecond, func(control.Paths) error {
		go stop()
		return nil
	})
	if !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the daemon stopped: %v", err)
	}
}

func TestWatchOfUnknownPeerFails(t *testing.T) {
	c, _, _ := client(t, &controltest.Backend{})
	err := c.Watch(t.Context(), control.PathsQuery{Peer: "paris"}, 0, func(control.Paths) error { return nil })
	if !errors.Is(err, control.ErrUnknownPeer) || err.Error() != `no such peer as "paris"` {
		t.Errorf("got %v", err)
	}
}

func TestClientWithoutDaemonSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.sock")
	want := "daemon not running: no overlayd answers on " + path +
		": start one with `sudo overlayd up`, or name its socket with --socket"
	_, err := control.NewClient(path).Status(t.Context())
	if !errors.Is(err, control.ErrNotRunning) || err.Error() != want {
		t.Errorf("absent socket: %v", err)
	}
	leftBehind(t, path)
	_, err = control.NewClient(path).Status(t.Context())
	if !errors.Is(err, control.ErrNotRunning) || err.Error() != want {
		t.Errorf("stale socket: %v", err)
	}
}
