package udp

import (
	"errors"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send hands everything in the batch to the kernel and returns how many datagrams it took. It never waits: what does
// not fit the send buffer is dropped. A datagram that cannot be sent, for want of a route or because a firewall forbids
// it, does not keep the others from being sent. The error is the last that occurred: ErrFull, net.ErrClosed or a
// syscall.Errno. The batch keeps its contents until Reset, and may be sent again.
func (s *Socket) Send(b *Batch) (int, error) {
	if b.messages == 0 {
		return 0, nil
	}
	b.socket, b.sent, b.err = s, 0, nil
	b.detour(s.detours.Load())
	if err := s.raw.Control(b.send); err != nil {
		if errors.Is(err, net.ErrClosed) {
			err = net.ErrClosed
		}
		return 0, err
	}
	return b.sent, b.err
}

// sendAll sends every message, those of several datagrams with UDP_SEGMENT if that is possible. It runs inside Control,
// which keeps the descriptor open but, unlike RawConn.Write, neither waits nor locks out other senders.
func (b *Batch) sendAll(fd uintptr) {
	segments := b.socket.Segments()
	for i := 0; i < b.messages; {
		end := b.messages
		if !segments {
			if b.meta[i].segments > 1 {
				if !b.sendPlain(fd, i) {
					return
				}
				i++
				continue
			}
			for end = i + 1; end < b.messages && b.meta[end].segments == 1; end++ {
			}
		}
		n, errno := sendmmsg(fd, b.hdrs[i:end])
		for ; n > 0; n-- {
			b.sent += b.meta[i].segments
			i++
		}
		switch {
		case errno == 0:
		case errno == unix.EAGAIN:
			b.err = ErrFull
			return
		case b.meta[i].segments > 1 && refusesSegments(errno):
			if errno == unix.EIO {
				b.socket.pauseSegments()
				segments = false
			}
			if !b.sendPlain(fd, i) {
				return
			}
			i++
		default:
			b.err = errno
			i++
		}
	}
}

// refusesSegments tells whether it may be UDP_SEGMENT that the kernel does not like: the interface has no checksum
// offload (EIO), or a datagram exceeds the path's MTU (EINVAL, EMSGSIZE) and would have to be sent in fragments.
func refusesSegments(errno syscall.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EOPNOTSUPP
}

// sendmmsg sends messages until one fails, and returns how many went and why the next one did not. An error may be that
// of a datagram sent long ago (an ICMP message came back), so the first one is not believed.
func sendmmsg(fd uintptr, hdrs []mmsghdr) (int, syscall.Errno) {
	sent, doubted := 0, false
	for sent < len(hdrs) {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&hdrs[sent])),
			uintptr(len(hdrs)-sent), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			sent += int(n)
			doubted = false
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || doubted:
			return sent, errno
		default:
			doubted = true
		}
	}
	return sent, 0
}

// plain is room for one message cut into its datagrams.
type plain struct {
	hdrs    [maxSegments]mmsghdr
	iovecs  [2*maxSegments + batchVectors]unix.Iovec
	vectors int
}

func (p *plain) reset() {
	clear(p.iovecs[:p.vectors])
	clear(p.hdrs[:])
	p.vectors = 0
}

// sendPlain sends message i one datagram at a time. It returns false if the send buffer is full.
func (b *Batch) sendPlain(fd uintptr, i int) bool {
	if b.plain == nil {
		b.plain = new(plain)
	}
	p := b.plain
	p.cut(&b.hdrs[i].hdr, b.meta[i])
	if b.meta[i].detoured {
		for k := range b.meta[i].segments {
			b.controls[i].attach(&p.hdrs[k].hdr, false, true, b.six)
		}
	}
	defer p.reset()
	for from := 0; from < b.meta[i].segments; {
		n, errno := sendmmsg(fd, p.hdrs[from:b.meta[i].segments])
		b.sent += n
		from += n
		switch errno {
		case 0:
		case unix.EAGAIN:
			b.err = ErrFull
			return false
		default:
			b.err = errno
			from++
		}
	}
	return true
}

// cut fills p with the datagrams of a message. A vector may hold several datagrams, or a datagram have several vectors.
func (p *plain) cut(whole *unix.Msghdr, m meta) {
	vectors := unsafe.Slice(whole.Iov, int(whole.Iovlen))
	offset := 0 // in vectors[0]
	for i := range m.segments {
		first := p.vectors
		for missing := m.segment; missing > 0 && len(vectors) > 0; {
			n := min(missing, int(vectors[0].Len)-offset)
			v := &p.iovecs[p.vectors]
			v.Base = (*byte)(unsafe.Add(unsafe.Pointer(vectors[0].Base), offset))
			v.SetLen(n)
			p.vectors++
			missing -= n
			offset += n
			if offset == int(vectors[0].Len) {
				vectors, offset = vectors[1:], 0
			}
		}
		h := &p.hdrs[i].hdr
		h.Name, h.Namelen = whole.Name, whole.Namelen
		h.Iov = &p.iovecs[first]
		h.SetIovlen(p.vectors - first)
	}
}
