package udp

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadMessages is how many messages a Reader takes from the kernel at once. With UDP_GRO each may be 64 KB.
const ReadMessages = 16

// errorPause keeps a goroutine from spinning on an error that does not go away.
const (
	errorPause = 10 * time.Millisecond
	errorRun   = 16
)

// Reader reads batches of messages from a socket. It belongs to one goroutine.
type Reader struct {
	socket *Socket
	read   func(fd uintptr) bool
	n      int
	errno  syscall.Errno
	zone   zoneCache

	hdrs     [ReadMessages]mmsghdr
	vectors  [ReadMessages]unix.Iovec
	names    [ReadMessages]sockaddr
	controls [ReadMessages]receiveControl
	buffer   []byte // of which only the pages that were written to are resident
}

// NewReader makes a Reader.
func (s *Socket) NewReader() *Reader {
	r := &Reader{socket: s, buffer: make([]byte, ReadMessages*maxDatagram)}
	for i := range r.hdrs {
		r.vectors[i].Base = &r.buffer[i*maxDatagram]
		r.vectors[i].SetLen(maxDatagram)
		h := &r.hdrs[i].hdr
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		h.Name = &r.names[i][0]
		h.Control = (*byte)(unsafe.Pointer(&r.controls[i]))
	}
	r.n = ReadMessages // all headers are to be reset before the first read
	r.read = r.receive
	return r
}

// Read waits for messages and returns how many there are, at least one. Their memory is the reader's and good until the
// next Read; it may be written to. The only error is net.ErrClosed: one that the network caused belongs to a datagram
// sent earlier and says nothing about what can be received.
func (r *Reader) Read() (int, error) {
	for failures := 0; ; failures++ {
		for i := range r.n {
			h := &r.hdrs[i].hdr
			h.Namelen = uint32(len(r.names[i]))
			h.SetControllen(int(unsafe.Sizeof(r.controls[i])))
		}
		r.n, r.errno = 0, 0
		if err := r.socket.raw.Read(r.read); err != nil && errors.Is(err, net.ErrClosed) {
			return 0, net.ErrClosed
		}
		if r.n > 0 {
			return r.n, nil
		}
		if failures >= errorRun {
			time.Sleep(errorPause)
		}
	}
}

func (r *Reader) receive(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])), ReadMessages,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.n = int(n)
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			r.errno = errno
			return true
		}
	}
}

// Message returns the i-th message of the last Read. It holds one datagram if segment is zero; otherwise it holds
// several of segment bytes each, of which the last may be shorter.
func (r *Reader) Message(i int) (data []byte, segment int, from netip.AddrPort) {
	h := &r.hdrs[i]
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		return nil, 0, netip.AddrPort{}
	}
	data = r.buffer[i*maxDatagram:][:h.len]
	c := parseControl(r.control(i))
	if c.segment < len(data) {
		segment = c.segment
	}
	return data, segment, r.names[i].get(h.hdr.Namelen, &r.zone)
}

// Time is when the kernel received the i-th message of the last Read, the first datagram of it if it holds several. The
// time that has passed since is taken off now, so that the result keeps now's monotonic clock; if the wall clock was
// set meanwhile, or the kernel does not tell, it is now.
func (r *Reader) Time(i int, now time.Time) time.Time {
	stamp := parseControl(r.control(i)).stamp
	ago := time.Duration(now.UnixNano() - stamp)
	if stamp == 0 || ago < 0 || ago > time.Second {
		return now
	}
	return now.Add(-ago)
}

func (r *Reader) control(i int) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&r.controls[i])), r.hdrs[i].hdr.Controllen)
}
