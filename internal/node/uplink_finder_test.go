package node

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// While the host does not answer, the loop goes on, and no address waits twice.
func TestAHostThatDoesNotAnswerHoldsUpNobody(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	f := newUplinkFinder()
	answer, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx, func(netip.Addr) string { return <-answer })
	}()
	first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if f.ask() != nil {
		t.Error("something is asked before anything waits")
	}
	f.add(first)
	f.ask() <- f.waiting
	f.taken()
	for range 100 { // the host is looking for the first
		f.add(first)
		f.add(second)
		select {
		case f.ask() <- f.waiting:
			t.Fatal("the host is asked two things at a time")
		case in := <-f.found:
			t.Fatalf("%+v is found by nobody", in)
		default:
		}
	}
	if len(f.waiting) != 2 {
		t.Errorf("%v wait, want two addresses", f.waiting)
	}
	answer <- "wan0"
	if in := <-f.found; in != (UplinkFound{To: first, Name: "wan0"}) {
		t.Errorf("%+v, want wan0 for %v", in, first)
	}
	f.ask() <- f.waiting
	f.taken()
	stop()
	close(answer)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it does not end with its context")
	}
}
