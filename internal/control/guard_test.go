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

// holder is a Backend that only has the root key, and counts who touches it.
type holder struct {
	Backend
	calls int
}

func (h *holder) ExportRoot(context.Context) (Seed, error) {
	h.calls++
	return make(Seed, SeedSize), nil
}
func (h *holder) RestoreRoot(context.Context, Seed) error { h.calls++; return nil }
func (h *holder) ForgetRoot(context.Context, bool) error  { h.calls++; return nil }
func (h *holder) Leave(context.Context, bool) error       { return nil }

func TestRootKeyIsNotForTheSocketsGroup(t *testing.T) {
	seed := `{"seed": "` + base64.StdEncoding.EncodeToString(make([]byte, SeedSize)) + `"}`
	for _, tt := range []struct {
		name string
		c    *credentials
		want int
	}{
		{"root", &credentials{uid: 0, gid: 9}, http.StatusOK},
		{"the daemon's user", &credentials{uid: 100, gid: 9}, http.StatusOK},
		{"the socket's group", &credentials{uid: 7, gid: 200}, http.StatusForbidden},
		{"anyone else", &credentials{uid: 7, gid: 9}, http.StatusForbidden},
		{"nobody known", nil, http.StatusForbidden},
	} {
		h := &holder{}
		var log bytes.Buffer
		handler := NewServer(h, slog.New(slog.NewTextHandler(&log, nil))).handler(guard{uid: 100, gid: 200})
		ask := func(path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			if tt.c != nil {
				r = r.WithContext(context.WithValue(r.Context(), credentialsKey{}, *tt.c))
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		for path, body := range map[string]string{
			"/v1/root/export": "{}", "/v1/root/restore": seed, "/v1/root/forget": `{"force": true}`,
		} {
			if w := ask(path, body); w.Code != tt.want || w.Code != http.StatusOK && strings.Contains(w.Body.String(), "seed") {
				t.Errorf("%s, %s: status %d, %s", tt.name, path, w.Code, w.Body)
			}
		}
		if reached := h.calls > 0; reached != (tt.want == http.StatusOK) {
			t.Errorf("%s: %d calls reached the node", tt.name, h.calls)
		}
		if strings.Contains(log.String(), "AAAA") {
			t.Errorf("the key was logged: %s", log.String())
		}
		if tt.name == "the socket's group" {
			if w := ask("/v1/leave", "{}"); w.Code != http.StatusOK {
				t.Errorf("%s may do the rest, and got status %d", tt.name, w.Code)
			}
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
