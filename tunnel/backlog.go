package tunnel

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// backlog tells how much of what one receiver handed to wireguard-go has not come out to the TUN interface yet. Its
// queues hold each packet in 64 KB, and would take all memory if a sender is faster than this machine. Packets of one
// peer stay in order, so a number on the last packet of each message is enough: it is written into the packet's buffer,
// behind the packet, and read when that buffer goes to the TUN interface. Packets that never come out (replayed ones,
// keepalives) do no harm: the next one that does passes them.
type backlog struct {
	handed  atomic.Uint64 // number of the last packet handed over
	done    atomic.Uint64 // highest number that came out
	blocked atomic.Bool   // the receiver waits for done to change
	change  chan struct{} // one element: it has
	timer   *time.Timer   // belongs to the receiver
}

const (
	// backlogLimit is how many packets of a receiver may be in the device before it waits.
	backlogLimit = 128
	// backlogWait is how long it waits for one to come out. It is short, since relayed frames wait too, and since
	// anyone can send packets that never come out. If none does they are taken for lost.
	backlogWait = 2 * time.Millisecond

	// markOffset is where the number is: at the end of the first page of a buffer, which is in use anyway.
	markOffset = 4096 - 8
	// cipherOverhead is what a transport message is longer than the packet in it: header, padding, tag.
	cipherOverhead = 16 + 15 + 16
)

func newBacklog() *backlog {
	return &backlog{change: make(chan struct{}, 1), timer: time.NewTimer(backlogWait)}
}

// full reports whether the device has enough.
func (b *backlog) full() bool { return b.handed.Load()-b.done.Load() > backlogLimit }

// wait waits until the device has room.
func (b *backlog) wait() {
	b.timer.Reset(backlogWait)
	defer b.timer.Stop()
	for {
		b.blocked.Store(true)
		if !b.full() {
			return
		}
		select {
		case <-b.change:
		case <-b.timer.C:
			b.passed(b.handed.Load())
			return
		}
	}
}

// hand counts n packets handed over and writes the number of the last behind it. The socket tells the receivers apart.
func (b *backlog) hand(n int, buffer []byte, size int, socket uint8) {
	number := b.handed.Add(uint64(n))
	if size <= markOffset && len(buffer) >= markOffset+8 {
		binary.NativeEndian.PutUint64(buffer[markOffset:], number<<8|uint64(socket))
	}
}

// marked reads the number from a buffer in which the given packet ends at size.
func marked(buffer []byte, size int) (number uint64, socket uint8, ok bool) {
	if size+cipherOverhead > markOffset || cap(buffer) < markOffset+8 {
		return 0, 0, false
	}
	mark := binary.NativeEndian.Uint64(buffer[markOffset : markOffset+8])
	return mark >> 8, uint8(mark), true
}

// passed notes the number of a packet that came out. Buffers that were not marked hold an old number, or anything.
func (b *backlog) passed(number uint64) {
	for {
		done := b.done.Load()
		if number <= done || number > b.handed.Load() {
			return
		}
		if b.done.CompareAndSwap(done, number) {
			break
		}
	}
	if b.blocked.Load() && b.blocked.CompareAndSwap(true, false) {
		select {
		case b.change <- struct{}{}:
		default:
		}
	}
}
