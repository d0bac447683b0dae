package control

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWhoMayUseTheAPI(t *testing.T) {
	g := guard{uid: 100, gid: 200}
	for _, tt := range []struct {
		name string
		c    credentials
		want bool
	}{
		{"root", credentials{uid: 0, gid: 9}, true},
		{"the daemon's user", credentials{uid: 100, gid: 9}, true},
		{"the socket's group", credentials{uid: 7, gid: 200}, true},
		{"a supplementary group", credentials{uid: 7, gid: 9, groups: []uint32{8, 200}}, true},
		{"anyone else", credentials{uid: 7, gid: 9, groups: []uint32{8}}, false},
	} {
		if got := g.allows(tt.c); got != tt.want {
			t.Errorf("%s: allowed is %v", tt.name, got)
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
