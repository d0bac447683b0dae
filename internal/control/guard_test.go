package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhoMayUseTheAPI(t *testing.T) {
	g := guard{uid: 100, gid: 200}
	for _, tt := range []struct {
		name string
		c    credentials
		want bool
		owns bool
	}{
		{"root", credentials{uid: 0, gid: 9}, true, true},
		{"the daemon's user", credentials{uid: 100, gid: 9}, true, true},
		{"the socket's group", credentials{uid: 7, gid: 200}, true, false},
		{"a supplementary group", credentials{uid: 7, gid: 9, groups: []uint32{8, 200}}, true, false},
		{"anyone else", credentials{uid: 7, gid: 9, groups: []uint32{8}}, false, false},
	} {
		if allowed, owns := g.allows(tt.c), g.owns(tt.c); allowed != tt.want || owns != tt.owns {
			t.Errorf("%s: allowed is %v, owns is %v", tt.name, allowed, owns)
		}
	}
}

// holder is a Backend that counts who reaches it, and holds the root key.
type holder struct {
	Backend
	calls []string
}

func (h *holder) called(what string) { h.calls = append(h.calls, what) }

func (h *holder) ExportRoot(context.Context) (Seed, error) {
	h.called("export")
	return make(Seed, SeedSize), nil
}
func (h *holder) RestoreRoot(context.Context, Seed) error { h.called("restore"); return nil }
func (h *holder) ForgetRoot(context.Context, bool) error  { h.called("forget"); return nil }
func (h *holder) Leave(context.Context, bool) error       { h.called("leave"); return nil }
func (h *holder) Down(context.Context) error              { h.called("down"); return nil }
func (h *holder) SetAdmin(context.Context, AdminRequest) error {
	h.called("admin")
	return nil
}

func (h *holder) SetSubnet(context.Context, SubnetRequest) error {
	h.called("subnet")
	return nil
}

func (h *holder) Invite(context.Context, InviteRequest) (string, error) {
	h.called("invite")
	return "token", nil
}

func (h *holder) CancelInvite(context.Context, string) (Invite, error) {
	h.called("cancel")
	return Invite{}, nil
}

func (h *holder) Revoke(context.Context, RevokeRequest) (RevokeResult, error) {
	h.called("revoke")
	return RevokeResult{}, nil
}

func (h *holder) Reinstate(context.Context, string) (RevokeResult, error) {
	h.called("reinstate")
	return RevokeResult{}, nil
}
func (h *holder) Status(context.Context) (Status, error)     { return Status{}, nil }
func (h *holder) Members(context.Context) ([]Member, error)  { return nil, nil }
func (h *holder) Invites(context.Context) ([]Invite, error)  { return nil, nil }
func (h *holder) Revoked(context.Context) ([]Revoked, error) { return nil, nil }
func (h *holder) Routes(context.Context) ([]Route, error)    { return nil, nil }
func (h *holder) Ping(context.Context, PingRequest) (PingResult, error) {
	return PingResult{}, nil
}

func (h *holder) RemoveRoute(context.Context, RouteRemoval) ([]Route, error) { return nil, nil }

func TestMembershipIsNotForTheSocketsGroup(t *testing.T) {
	seed := `{"seed": "` + base64.StdEncoding.EncodeToString(make([]byte, SeedSize)) + `"}`
	changes := map[string]string{
		"/v1/invite": `{}`, "/v1/invites/cancel": `{"id": "ab"}`, "/v1/revoke": `{"node": "boston"}`,
		"/v1/reinstate": `{"node": "boston"}`, "/v1/admin": `{"node": "boston", "grant": true}`,
		"/v1/subnets": `{"node": "boston", "subnet": "192.168.7.0/24", "grant": true}`, "/v1/leave": `{"force": true}`,
		"/v1/root/export": "{}", "/v1/root/restore": seed, "/v1/root/forget": `{"force": true}`,
	}
	uses := map[string]string{
		"/v1/status": "", "/v1/members": "", "/v1/invites": "", "/v1/revoked": "", "/v1/routes": "",
		"/v1/ping": `{"peer": "boston"}`, "/v1/routes/remove": `{"all": true}`, "/v1/down": "{}",
	}
	for _, tt := range []struct {
		name          string
		c             *credentials
		changes, uses int
	}{
		{"root", &credentials{uid: 0, gid: 9}, http.StatusOK, http.StatusOK},
		{"the daemon's user", &credentials{uid: 100, gid: 9}, http.StatusOK, http.StatusOK},
		{"the socket's group", &credentials{uid: 7, gid: 200}, http.StatusForbidden, http.StatusOK},
		{"a supplementary group", &credentials{uid: 7, gid: 9, groups: []uint32{200}}, http.StatusForbidden, http.StatusOK},
		{"anyone else", &credentials{uid: 7, gid: 9}, http.StatusForbidden, http.StatusForbidden},
		{"nobody known", nil, http.StatusForbidden, http.StatusForbidden},
	} {
		h := &holder{}
		var log bytes.Buffer
		handler := NewServer(h, slog.New(slog.NewTextHandler(&log, nil))).handler(guard{uid: 100, gid: 200})
		ask := func(path, body string) *httptest.ResponseRecorder {
			method := http.MethodPost
			if body == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			if tt.c != nil {
				r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, *tt.c))
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		for path, body := range changes {
			w := ask(path, body)
			if w.Code != tt.changes || w.Code != http.StatusOK && (strings.Contains(w.Body.String(), "seed") || !strings.Contains(w.Body.String(), "root")) {
				t.Errorf("%s, %s: status %d, %s", tt.name, path, w.Code, w.Body)
			}
		}
		if want := len(changes); tt.changes == http.StatusOK && len(h.calls) != want || tt.changes != http.StatusOK && len(h.calls) > 0 {
			t.Errorf("%s: %v reached the node", tt.name, h.calls)
		}
		for path, body := range uses {
			if w := ask(path, body); w.Code != tt.uses {
				t.Errorf("%s, %s: status %d, %s", tt.name, path, w.Code, w.Body)
			}
		}
		if strings.Contains(log.String(), "AAAA") {
			t.Errorf("the key was logged: %s", log.String())
		}
	}
}

func TestKernelTellsWhoConnected(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{Listener: l}
	defer b.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	c, err := credentialsOf(far)
	if err != nil || c.uid != uint32(os.Getuid()) || c.gid != uint32(os.Getgid()) || c.pid != int32(os.Getpid()) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{Listener: l}
	defer b.Close()
	accepted := make(chan net.Conn, maxConns+1)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var first net.Conn
	for range maxConns {
		dial()
		if c := <-accepted; first == nil {
			first = c
		}
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the bound was not hung up on")
	}
	first.Close()
	dial()
	<-accepted // a place has become free
}

func TestUnknownIsNullAndNothingIsAnEmptyList(t *testing.T) {
	text, err := json.Marshal(Path{})
	want := `{"via":[],"endpoint":"","rtt_ms":null,"jitter_ms":null,"loss_out":null,"loss_in":null,"cost":null}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
	if got := *MillisOf(21400123 * time.Nanosecond); got != 21.4 || got.Duration() != 21400*time.Microsecond {
		t.Errorf("got %v", got)
	}
}
