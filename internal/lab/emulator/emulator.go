// Package emulator carries real packets through the model of a wide-area network (package wan), on a thread of its own:
// each site's uplink is a device whose other end the emulator holds.
//
//	site A ─TAP─▶ wan.Network: uplink, link, downlink ─TAP─▶ site B
package emulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/agenda"
	"overlayd/internal/lab/thread"
	"overlayd/internal/lab/wan"
)

// Network is the model, of packets that are bytes.
type Network = wan.Network[[]byte]

// Uplink is how a site is attached.
type Uplink struct {
	FD        int              // of a non-blocking TAP; the Emulator closes it
	Hardware  net.HardwareAddr // to which what arrives is addressed
	Addresses []netip.Addr
}

// MTU is the size in bytes of the largest packet that the emulated network carries.
const MTU = 1500

// readBatch is how many packets are read from one site before the others, and what is due, have their turn.
const readBatch = 64

// Emulator carries packets between devices through a Network, on a thread of its own.
type Emulator struct {
	start   time.Time
	uplinks []Uplink
	sites   map[netip.Addr]wan.Site
	wake    int // an eventfd
	done    chan struct{}

	// Owned by the thread.
	network  *Network
	free     [][]byte
	taps     map[wan.Site][]*Tap
	egress   map[wan.Site]Egress
	held     agenda.Agenda[held] // by when they leave
	lateness Lateness
	counts   Counts
	sent     []uint64 // bytes, by site
	frame    [etherHeader]byte

	mu   sync.Mutex // guards what follows
	jobs []func()
	stop bool
}

// Counts counts packets by their fate, and those that the emulator could not place.
type Counts struct {
	ByFate    map[wan.Fate]uint64
	NoAddress uint64 // to an address that no site has
	Refused   uint64 // arrived, but the site's device did not take it: it is down or full
}

// Tap is shown every packet that a site sends (out) or receives. It runs on the emulator's thread and must not keep b.
type Tap func(out bool, b []byte)

// Start starts an emulator for the sites with the given uplinks; Site i is uplinks[i]. At first there are no links.
func Start(uplinks []Uplink, seed uint64) (*Emulator, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	e := &Emulator{
		start:   time.Now(),
		uplinks: uplinks,
		sites:   make(map[netip.Addr]wan.Site),
		wake:    wake,
		done:    make(chan struct{}),
		network: wan.NewNetwork[[]byte](len(uplinks), seed),
		taps:    make(map[wan.Site][]*Tap),
		egress:  make(map[wan.Site]Egress),
		counts:  Counts{ByFate: make(map[wan.Fate]uint64)},
		sent:    make([]uint64, len(uplinks)),
	}
	for i, u := range uplinks {
		for _, addr := range u.Addresses {
			e.sites[addr] = wan.Site(i)
		}
	}
	go func() {
		defer close(e.done)
		thread.Own(e.run)
	}()
	return e, nil
}

// Close stops the emulator and closes the descriptors.
func (e *Emulator) Close() error {
	e.mu.Lock()
	e.stop = true
	e.mu.Unlock()
	err := e.kick()
	<-e.done
	for _, u := range e.uplinks {
		err = errors.Join(err, unix.Close(u.FD))
	}
	return errors.Join(err, unix.Close(e.wake))
}

// Change runs f, with the time on the network's clock, between two packets and returns when it did. It must not be
// called after Close.
func (e *Emulator) Change(f func(now wan.Instant, n *Network)) time.Time {
	var at time.Time
	e.call(func() {
		at = time.Now()
		f(at.Sub(e.start), e.network)
	})
	return at
}

// Readdress gives a site another address in place of one that it has.
func (e *Emulator) Readdress(s wan.Site, from, to netip.Addr) {
	e.call(func() {
		delete(e.sites, from)
		e.sites[to] = s
	})
}

// AddTap shows every packet of a site to t until remove is called.
func (e *Emulator) AddTap(s wan.Site, t Tap) (remove func()) {
	e.call(func() { e.taps[s] = append(e.taps[s], &t) })
	return func() {
		e.call(func() { e.taps[s] = slices.DeleteFunc(e.taps[s], func(have *Tap) bool { return have == &t }) })
	}
}

// Report is how late packets have been delivered so far, and what became of them.
func (e *Emulator) Report() (late Lateness, counts Counts) {
	e.call(func() {
		late, counts = e.lateness, e.counts
		counts.ByFate = make(map[wan.Fate]uint64)
		for fate := range wan.Fates {
			counts.ByFate[fate] = e.counts.ByFate[fate]
		}
	})
	return late, counts
}

// Sent is how many bytes each site has sent so far, in whole IP packets, and when that was counted.
func (e *Emulator) Sent() (bytes []uint64, at time.Time) {
	e.call(func() { bytes, at = slices.Clone(e.sent), time.Now() })
	return bytes, at
}

// call runs f on the thread and waits for it.
func (e *Emulator) call(f func()) {
	done := make(chan struct{})
	e.mu.Lock()
	e.jobs = append(e.jobs, func() { f(); close(done) })
	e.mu.Unlock()
	_ = e.kick() // fails only when the counter is full, and then the thread is awake
	<-done
}

func (e *Emulator) kick() error {
	_, err := unix.Write(e.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

// now is the time on the emulator's clock.
func (e *Emulator) now() wan.Instant { return time.Since(e.start) }

// run is the thread: deliver what is due, sleep until something is due or comes in, read.
func (e *Emulator) run() {
	fds := []unix.PollFd{{Fd: int32(e.wake), Events: unix.POLLIN}}
	for _, u := range e.uplinks {
		fds = append(fds, unix.PollFd{Fd: int32(u.FD), Events: unix.POLLIN})
	}
	for {
		e.release()
		e.deliver()
		var timeout *unix.Timespec
		if due, ok := e.nextDeadline(); ok {
			ts := unix.NsecToTimespec(int64(max(0, due-e.now())))
			timeout = &ts
		}
		if n, err := unix.Ppoll(fds, timeout, nil); err != nil || n == 0 {
			continue // interrupted, or something is due
		}
		for i := range fds[1:] {
			if fds[1+i].Revents&unix.POLLIN != 0 {
				e.read(wan.Site(i))
			}
		}
		if fds[0].Revents != 0 && e.work() {
			return
		}
	}
}

// work runs the jobs of other goroutines. It reports whether to stop.
func (e *Emulator) work() (stop bool) {
	var count [8]byte
	_, _ = unix.Read(e.wake, count[:])
	e.mu.Lock()
	jobs := e.jobs
	e.jobs = nil
	stop = e.stop
	e.mu.Unlock()
	for _, job := range jobs {
		job()
	}
	return stop
}

// read takes what a site has sent into the network.
func (e *Emulator) read(from wan.Site) {
	for range readBatch {
		b := e.buffer()
		n, err := unix.Readv(e.uplinks[from].FD, [][]byte{e.frame[:], b})
		if err != nil || n <= etherHeader {
			e.free = append(e.free, b)
			return
		}
		e.send(from, b[:n-etherHeader])
	}
}

// deliver hands out the packets whose way has ended.
func (e *Emulator) deliver() {
	for {
		now := e.now()
		r, ok := e.network.Pop(now)
		if !ok {
			return
		}
		e.counts.ByFate[r.Fate]++
		if r.Fate == wan.Delivered {
			for _, tap := range e.taps[r.To] {
				(*tap)(false, r.Data)
			}
			if _, err := e.write(r.To, r.Data); err != nil {
				e.counts.Refused++
			}
			e.lateness.add(now - r.Due)
		}
		if r.Fate == wan.TooLarge {
			e.answerTooLarge(r)
		}
		e.free = append(e.free, r.Data[:cap(r.Data)])
	}
}

// etherHeader is the size of an Ethernet header, in bytes.
const etherHeader = 14

// write hands a site an IP packet.
func (e *Emulator) write(to wan.Site, b []byte) (int, error) {
	const ipv4, ipv6 = 0x0800, 0x86dd
	kind := uint16(ipv4)
	if b[0]>>4 == 6 {
		kind = ipv6
	}
	copy(e.frame[:6], e.uplinks[to].Hardware)
	copy(e.frame[6:12], []byte{2, 0, 0, 0, 0, 1}) // locally administered: nobody's
	binary.BigEndian.PutUint16(e.frame[12:], kind)
	return unix.Writev(e.uplinks[to].FD, [][]byte{e.frame[:], b})
}

// answerTooLarge tells the sender of a packet what the link carries, by the way back.
func (e *Emulator) answerTooLarge(r wan.Result[[]byte]) {
	b := e.buffer()
	if told := tooBig(b, r.Data, r.MTU); told != nil {
		e.network.Send(e.now(), r.To, r.From, examine(told), told)
		return
	}
	e.free = append(e.free, b)
}

// buffer is room for one packet. The number of buffers is bounded by what the network holds.
func (e *Emulator) buffer() []byte {
	if last := len(e.free) - 1; last >= 0 {
		b := e.free[last]
		e.free = e.free[:last]
		return b
	}
	return make([]byte, MTU+48)
}
