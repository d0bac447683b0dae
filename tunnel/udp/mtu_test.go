package udp

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace runs f in a network namespace whose loopback interface has the given MTU.
func inNamespace(t *testing.T, mtu int, f func(t *testing.T)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	done := make(chan error)
	go func() {
		defer close(done)      // also if f fails
		runtime.LockOSThread() // never unlocked: the thread and its namespace end with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = raiseLoopback(mtu)
		}
		if err == nil {
			f(t)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("no network namespace here: %v", err)
	}
}

func raiseLoopback(mtu int) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(lo, mtu); err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func TestDatagramsLargerThanTheMTUGoInFragments(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		inNamespace(t, 1300, func(t *testing.T) {
			from, to := listen(t, at), listen(t, at)
			packets := packetsOf(append(slices.Repeat([]int{1440}, 50), 100)...)
			batch := from.NewBatch()
			batch.Packets(to.LocalAddr(), 7, packets)
			if sent, err := from.Send(batch); sent != len(packets) || err != nil {
				t.Errorf("%s: sent %d of %d: %v", at, sent, len(packets), err)
				return
			}
			for i, got := range datagrams(t, to.NewReader(), len(packets)) {
				if !bytes.Equal(got[PrefixLen:], packets[i]) {
					t.Errorf("%s: datagram %d differs", at, i)
				}
			}
			if !from.Segments() {
				t.Error("UDP_SEGMENT is switched off for good by one path of a small MTU")
			}
		})
	}
}
