package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/thread"
)

// Place runs a function inside a network namespace, so that the sockets that it opens belong there.
type Place interface {
	Do(func() error) error
}

// Flow is a stream of packets at a steady beat.
type Flow struct {
	ID    uint32
	From  netip.Addr // bound even while no interface has it
	To    netip.AddrPort
	Every time.Duration
	Size  int // bytes of UDP payload, at least MinSize
}

// MinSize is the smallest payload: magic (4), flow (4), number (8).
const MinSize = 16

const magic = 0x6d657465

// maxPackets bounds the record of one flow (16 bytes a packet).
const maxPackets = 1 << 24

// Record grows while a flow runs. It has room for all its packets from the start.
type Record struct {
	every      time.Duration
	epoch      time.Time
	sent       []atomic.Int64 // ns since epoch, plus 1; 0: not yet
	arrived    []atomic.Int64
	duplicates atomic.Int64
	reordered  atomic.Int64
	refused    atomic.Int64
	gap        time.Duration
	onGap      func(Gap)

	// Owned by the receiver.
	highest int64 // the highest number seen, plus 1
	latest  int64 // the latest arrival
}

// NewRecord is a record for a flow of the given length at most; its times are since epoch.
func NewRecord(epoch time.Time, every, length time.Duration) (*Record, error) {
	n := int64(length/every) + 1
	if every <= 0 || n > maxPackets {
		return nil, fmt.Errorf("a packet every %v for %v is more than the meter holds", every, length)
	}
	return &Record{
		every: every, epoch: epoch, sent: make([]atomic.Int64, n), arrived: make([]atomic.Int64, n),
	}, nil
}

// Gap is the time between two successive arrivals, as seen when the second comes in.
type Gap struct {
	From, To time.Duration
	Missing  int // packets between the two that have not arrived by then
}

// OnGap calls f, from the receiver's goroutine, whenever two successive arrivals are further apart than the gap. It is
// set before the flow starts.
func (r *Record) OnGap(gap time.Duration, f func(Gap)) { r.gap, r.onGap = gap, f }

// Series is the record as it is now.
func (r *Record) Series() Series {
	s := Series{
		Every:      r.every,
		Duplicates: int(r.duplicates.Load()), Reordered: int(r.reordered.Load()), Refused: int(r.refused.Load()),
	}
	for i := range r.sent {
		at := r.sent[i].Load()
		if at == 0 {
			break
		}
		s.Sent = append(s.Sent, time.Duration(at-1))
		arrived := Never
		if at := r.arrived[i].Load(); at != 0 {
			arrived = time.Duration(at - 1)
		}
		s.Arrived = append(s.Arrived, arrived)
	}
	return s
}

// Sent notes that a packet was sent at a wall-clock time, in Unix nanoseconds.
func (r *Record) Sent(number int, wall int64) { r.sent[number].Store(r.since(wall)) }

// Len is how many packets the record has room for.
func (r *Record) Len() int { return len(r.sent) }

// since is a wall-clock time as the record keeps times.
func (r *Record) since(wall int64) int64 { return max(1, wall-r.epoch.UnixNano()+1) }

// Sender sends one flow.
type Sender struct {
	flow   Flow
	record *Record
	fd     int
	stop   atomic.Bool
	done   chan struct{}
}

// Send starts sending the flow from a place, a packet at once and then one every interval, until Stop or until the
// record is full.
func Send(from Place, flow Flow, record *Record) (*Sender, error) {
	if flow.Size < MinSize {
		return nil, fmt.Errorf("a packet of the meter has at least %d bytes, not %d", MinSize, flow.Size)
	}
	s := &Sender{flow: flow, record: record, done: make(chan struct{})}
	if err := from.Do(func() (err error) { s.fd, err = openSocket(flow.From); return err }); err != nil {
		return nil, fmt.Errorf("open the sender of %v: %w", flow.From, err)
	}
	go func() {
		defer close(s.done)
		thread.Own(s.run)
	}()
	return s, nil
}

// Stop ends the flow. It may be called more than once.
func (s *Sender) Stop() {
	if !s.stop.Swap(true) {
		<-s.done
		unix.Close(s.fd)
	}
}

func (s *Sender) run() {
	b := make([]byte, s.flow.Size)
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[4:], s.flow.ID)
	to := sockaddr(s.flow.To)
	start := time.Now()
	for i := range s.record.sent {
		thread.SleepUntil(start.Add(time.Duration(i) * s.flow.Every))
		if s.stop.Load() {
			return
		}
		binary.BigEndian.PutUint64(b[8:], uint64(i))
		s.record.Sent(i, time.Now().UnixNano())
		if err := unix.Sendto(s.fd, b, unix.MSG_DONTWAIT, to); err != nil {
			s.record.refused.Add(1)
		}
	}
}

// openSocket is a UDP socket bound to an address that this host may not have yet.
func openSocket(from netip.Addr) (int, error) {
	family, level, freebind := unix.AF_INET, unix.SOL_IP, unix.IP_FREEBIND
	if from.Is6() {
		family, level, freebind = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, level, freebind, 1),
		unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
}
