package node

import (
	"context"
	"net/netip"
	"slices"
)

// uplinkFinder asks the host for uplinks, beside the loop: the kernel holds one lock for all that changes interfaces,
// which other programs that make and remove network namespaces can keep for seconds.
type uplinkFinder struct {
	waiting []netip.Addr // not asked yet, each once; belongs to the loop
	asks    chan []netip.Addr
	found   chan UplinkFound
}

func newUplinkFinder() *uplinkFinder {
	return &uplinkFinder{asks: make(chan []netip.Addr), found: make(chan UplinkFound)}
}

// run looks until ctx ends. An empty name says that there is no uplink.
func (f *uplinkFinder) run(ctx context.Context, look func(to netip.Addr) string) {
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-f.asks:
			for _, to := range batch {
				select {
				case <-ctx.Done():
					return
				case f.found <- UplinkFound{To: to, Name: look(to)}:
				}
			}
		}
	}
}

// add notes an address to be asked for. The core names at most maxUplinks of them.
func (f *uplinkFinder) add(to netip.Addr) {
	if !slices.Contains(f.waiting, to) {
		f.waiting = append(f.waiting, to)
	}
}

// ask is where what waits is sent, once somebody takes it; nil if nothing waits.
func (f *uplinkFinder) ask() chan<- []netip.Addr {
	if len(f.waiting) == 0 {
		return nil
	}
	return f.asks
}

// taken says that what waited was sent.
func (f *uplinkFinder) taken() { f.waiting = nil }
