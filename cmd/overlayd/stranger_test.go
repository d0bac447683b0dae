package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/config"
	"overlayd/internal/lab/netns"
	"overlayd/internal/wire"
)

// recorder keeps the UDP datagrams of the overlay port that a router passes on to members.
type recorder struct {
	mu     sync.Mutex
	frames map[wire.Class][][]byte // guarded by mu
	stop   atomic.Bool
	done   chan struct{}
}

// maxRecorded bounds the datagrams that are kept of each class.
const maxRecorded = 2000

// record begins to record what a namespace sends. What it does not pass on is left out: whoever delivers that is not a
// replayer but a part of the way.
func (b *bench) record(router *netns.Namespace) *recorder {
	b.Helper()
	var fd int
	b.must(router.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL))) // others do not get what is sent
		return err
	}))
	b.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}))
	r := &recorder{frames: make(map[wire.Class][][]byte), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, 1<<16)
		for !r.stop.Load() {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			ll, ok := from.(*unix.SockaddrLinklayer)
			if err == nil && ok && ll.Pkttype == unix.PACKET_OUTGOING && ll.Protocol == htons(unix.ETH_P_IP) {
				r.packet(buf[:n])
			}
		}
	}()
	b.Cleanup(r.close)
	return r
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// packet keeps the datagram in an IPv4 packet, if it is of the overlay port.
func (r *recorder) packet(b []byte) {
	if len(b) < 20 || b[9] != unix.IPPROTO_UDP {
		return
	}
	udp := b[int(b[0]&15)*4:]
	if len(udp) < 8 || binary.BigEndian.Uint16(udp[2:]) != config.DefaultPort {
		return
	}
	frame := udp[8:min(len(udp), int(binary.BigEndian.Uint16(udp[4:])))]
	class := wire.Classify(frame)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames[class]) < maxRecorded && len(frame) <= maxDatagram {
		r.frames[class] = append(r.frames[class], slices.Clone(frame))
	}
}

// close ends the recording.
func (r *recorder) close() {
	r.stop.Store(true)
	<-r.done
}

// of are the datagrams of a class until now.
func (r *recorder) of(class wire.Class) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames[class])
}

// has waits until so many datagrams of each class are recorded.
func (r *recorder) has(b *bench, least map[wire.Class]int) {
	b.Helper()
	b.eventually(readyPatience, func() error {
		for class, n := range least {
			if have := len(r.of(class)); have < n {
				return fmt.Errorf("%d datagrams of class %d are recorded, not %d", have, class, n)
			}
		}
		return nil
	})
}

// maxDatagram is the longest datagram that a stranger sends.
const maxDatagram = 1500

// stranger sends what it likes to the overlay ports of members. All datagrams of one length come from one port, so that
// every answer tells how long the question was.
type stranger struct {
	*bench
	ns       *netns.Namespace
	rng      *rand.Rand
	recorded *recorder
	targets  []netip.AddrPort
	ports    map[int]*question
	answers  sync.WaitGroup
}

// question is all that was sent of one length, and what came back.
type question struct {
	conn               *net.UDPConn
	sent               atomic.Int64
	answers            atomic.Int64
	answerBytes, worst atomic.Int64 // worst: the longest answer
}

func (b *bench) stranger(in *netns.Namespace, recorded *recorder, targets []netip.AddrPort) *stranger {
	s := &stranger{
		bench: b, ns: in, rng: rand.New(rand.NewPCG(1, 2)), recorded: recorded, targets: targets, ports: map[int]*question{},
	}
	b.Cleanup(func() {
		for _, q := range s.ports {
			_ = q.conn.Close()
		}
		s.answers.Wait()
	})
	return s
}

// send sends a datagram to a member.
func (s *stranger) send(datagram []byte) {
	q := s.ports[len(datagram)]
	if q == nil {
		q = &question{conn: s.listenUDP(s.ns, "0.0.0.0:0")}
		s.ports[len(datagram)] = q
		s.answers.Go(func() { q.read() })
	}
	if _, err := q.conn.WriteToUDPAddrPort(datagram, s.targets[s.rng.IntN(len(s.targets))]); err == nil {
		q.sent.Add(1)
	}
}

func (q *question) read() {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := q.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			q.answers.Add(1)
			q.answerBytes.Add(int64(n))
			q.worst.Store(max(q.worst.Load(), int64(n)))
		}
	}
}

// flood sends datagrams of all kinds at a steady rate until stop is closed, and closes done.
func (s *stranger) flood(stop <-chan struct{}) (done chan struct{}) {
	const burst, every = 40, 5 * time.Millisecond // 8,000 a second
	done = make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				for range burst {
					s.send(s.datagram())
				}
			case <-stop:
				return
			}
		}
	}()
	return done
}

// datagram makes up, or repeats, one datagram.
func (s *stranger) datagram() []byte {
	switch s.rng.IntN(12) {
	case 0:
		return s.random(s.rng.IntN(24))
	case 1:
		return s.random(s.length())
	case 2:
		return s.start(s.random(s.length()), 'C')
	case 3:
		return s.spoiled(wire.ClassControl) // with a hint that means somebody
	case 4:
		return s.start(s.random(s.length()), 'L')
	case 5:
		return s.spoiled(wire.ClassLabel) // with a label that means something
	case 6:
		return s.start(s.random(s.length()), byte(1+s.rng.IntN(4)), 0, 0, 0)
	case 7:
		return s.spoiled(wire.ClassWireGuard)
	case 8:
		return s.stun()
	case 9:
		return s.start(s.random([]int{4, 60, 1200, 1200}[s.rng.IntN(4)]), 'J', 1, byte(1+s.rng.IntN(2)))
	default:
		class := []wire.Class{wire.ClassControl, wire.ClassLabel, wire.ClassWireGuard, wire.ClassJoin}[s.rng.IntN(4)]
		return s.repeated(class)
	}
}

// length is one of the lengths at which something may go wrong.
func (s *stranger) length() int {
	lengths := []int{
		4, 8, 9, 15, 16, 20, 28, 31, 32, 44, 63, 64, 69, 70, 71, 91, 92, 100, 147, 148, 149, 500, 1223, 1224, 1225,
		1280, 1472, maxDatagram,
	}
	return lengths[s.rng.IntN(len(lengths))]
}

func (s *stranger) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

func (s *stranger) start(b []byte, head ...byte) []byte {
	copy(b, head)
	return b
}

// repeated is a datagram that went between members.
func (s *stranger) repeated(class wire.Class) []byte {
	frames := s.recorded.of(class)
	if len(frames) == 0 {
		return nil
	}
	return frames[s.rng.IntN(len(frames))]
}

// spoiled is a datagram that went between members, shortened or altered somewhere behind its first bytes.
func (s *stranger) spoiled(class wire.Class) []byte {
	b := slices.Clone(s.repeated(class))
	const head = 8
	switch {
	case len(b) <= head:
	case s.rng.IntN(2) == 0:
		b = b[:head+s.rng.IntN(4)*(len(b)-head)/4]
	default:
		b[head+s.rng.IntN(len(b)-head)] ^= 1 << s.rng.IntN(8)
	}
	return b
}

// stun is a question: the shortest, one of the length that is answered, one whose length is wrong, an answer.
func (s *stranger) stun() []byte {
	b := s.random([]int{20, 24, 28, 32, 44, 548}[s.rng.IntN(6)])
	copy(b, []byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42})
	switch s.rng.IntN(4) {
	case 0:
		b[1] = 0x11
	case 1:
		b[0], b[1] = 1, 1
	case 2:
		b[3] = byte(s.rng.Uint32())
	default:
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
		if len(b) >= 24 { // PADDING
			binary.BigEndian.PutUint16(b[20:], 0x0026)
			binary.BigEndian.PutUint16(b[22:], uint16(len(b)-24))
		}
	}
	return b
}

// gotNoMoreThanItGave holds the answers against the questions.
func (s *stranger) gotNoMoreThanItGave(t *testing.T) {
	t.Helper()
	var questions, answers, in, out int64
	for length, q := range s.ports {
		if q.worst.Load() > int64(length) || q.answers.Load() > q.sent.Load() {
			t.Errorf("%d questions of %d bytes got %d answers of up to %d bytes",
				q.sent.Load(), length, q.answers.Load(), q.worst.Load())
		}
		questions, answers = questions+q.sent.Load(), answers+q.answers.Load()
		in, out = in+q.sent.Load()*int64(length), out+q.answerBytes.Load()
	}
	t.Logf("%d datagrams (%d bytes) got %d answers (%d bytes)", questions, in, answers, out)
}
