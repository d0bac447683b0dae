package tunnel

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"overlayd/tunnel/offload"
)

// hostBatch is how many packets are read from the interface at once.
const hostBatch = 64

// hostIO reads and writes the kernel's TUN interface in place of wireguard-go's NativeTun, which is still there for all
// else. It differs in that a read takes what the interface has, rather than one packet, and that joining packets copies
// nothing: NativeTun copies them into one buffer of 64 KB, until every buffer of that size is resident.
type hostIO struct {
	raw syscall.RawConn

	// What follows belongs to the goroutine that reads.
	scratch []byte
	split   offload.Splitter
	read    func(fd uintptr) bool
	in      packetBatch
	inErr   error

	mu      sync.Mutex // guards what follows, for the goroutines that write
	joiner  *offload.Joiner
	groups  int
	vectors [][]byte
	iovecs  []unix.Iovec
	write   func(fd uintptr) bool
	outErr  error
}

// packetBatch is what one Read fills.
type packetBatch struct {
	packets [][]byte
	sizes   []int
	offset  int
	n       int
}

func (b *packetBatch) full() bool { return b.n == len(b.packets) }

// newHostIO returns nil if the device is not the kernel's, or one without offloads.
func newHostIO(device tun.Device) *hostIO {
	file := device.File()
	if file == nil {
		return nil
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	usable, udp := false, false
	if err := raw.Control(func(fd uintptr) { usable, udp = offloads(int(fd)) }); err != nil || !usable {
		return nil
	}
	h := &hostIO{raw: raw, scratch: make([]byte, offload.HeaderLen+offload.MaxPacket), joiner: offload.NewJoiner(udp)}
	h.read, h.write = h.readSome, h.writeAll
	return h
}

// offloads reports whether the interface has virtio headers, and whether it takes joined UDP datagrams.
func offloads(fd int) (usable, udp bool) {
	request, err := unix.NewIfreq("")
	if err != nil || unix.IoctlIfreq(fd, unix.TUNGETIFF, request) != nil || request.Uint16()&unix.IFF_VNET_HDR == 0 {
		return false, false
	}
	if size, err := unix.IoctlGetInt(fd, unix.TUNGETVNETHDRSZ); err != nil || size != offload.HeaderLen {
		return false, false
	}
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	udp = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil // Linux 6.2
	if !udp && unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp) != nil {
		return false, false
	}
	return true, udp
}

// Read is that of tun.Device. It waits for a packet, then takes what else there is.
func (h *hostIO) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	h.in = packetBatch{packets: packets, sizes: sizes, offset: offset}
	h.inErr = nil
	if h.fill(); h.in.full() {
		return h.in.n, nil
	}
	if err := h.raw.Read(h.read); err != nil {
		h.inErr = err
	}
	if h.in.n > 0 {
		return h.in.n, nil
	}
	if errors.Is(h.inErr, unix.EBADFD) || errors.Is(h.inErr, os.ErrClosed) {
		return 0, os.ErrClosed
	}
	return 0, h.inErr
}

// readSome returns false if it has to wait for a packet.
func (h *hostIO) readSome(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&h.scratch[0])), uintptr(len(h.scratch)))
		switch errno {
		case 0:
			if h.split.Begin(h.scratch[:n]) == nil {
				h.fill()
			}
			if h.in.full() {
				return true
			}
		case unix.EINTR:
		case unix.EAGAIN:
			return h.in.n > 0
		default:
			h.inErr = errno
			return true
		}
	}
}

// fill takes packets from the splitter as far as there is room.
func (h *hostIO) fill() {
	b := &h.in
	for h.split.Pending() && !b.full() {
		if b.sizes[b.n] = h.split.Next(b.packets[b.n][b.offset:]); b.sizes[b.n] > 0 {
			b.n++
		}
	}
}

// Write is that of tun.Device. What the interface does not take is lost.
func (h *hostIO) Write(packets [][]byte, offset int) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups = h.joiner.Join(packets, offset)
	h.outErr = nil
	err := h.raw.Write(h.write)
	h.joiner.Reset()
	clear(h.iovecs[:cap(h.iovecs)])
	clear(h.vectors[:cap(h.vectors)])
	if err == nil {
		err = h.outErr
	}
	if errors.Is(err, unix.EBADFD) {
		err = os.ErrClosed
	}
	return len(packets), err
}

// writeAll writes one group after the other. It never waits: the interface hands packets to the kernel at once.
func (h *hostIO) writeAll(fd uintptr) bool {
	for i := 0; i < h.groups; i++ {
		h.vectors = h.joiner.Vectors(h.vectors[:0], i)
		h.iovecs = h.iovecs[:0]
		for _, v := range h.vectors {
			iov := unix.Iovec{Base: &v[0]}
			iov.SetLen(len(v))
			h.iovecs = append(h.iovecs, iov)
		}
		for {
			_, _, errno := unix.Syscall(unix.SYS_WRITEV, fd,
				uintptr(unsafe.Pointer(&h.iovecs[0])), uintptr(len(h.iovecs)))
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				h.outErr = errno
			}
			break
		}
	}
	return true
}
