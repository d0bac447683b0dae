package meter

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receiver takes in the packets of many flows in one place.
type Receiver struct {
	conn *net.UDPConn
	done chan struct{}

	mu      sync.Mutex // guards records
	records map[uint32]*Record
}

// Listen opens a receiver on every address of a place.
func Listen(at Place, port uint16) (*Receiver, error) {
	r := &Receiver{done: make(chan struct{}), records: make(map[uint32]*Record)}
	err := at.Do(func() (err error) {
		r.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the receiver: %w", err)
	}
	raw, err := r.conn.SyscallConn()
	if err == nil {
		ctlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		})
		if err == nil {
			err = ctlErr
		}
	}
	if err != nil {
		r.conn.Close()
		return nil, fmt.Errorf("ask the kernel for receive times: %w", err)
	}
	go r.run()
	return r, nil
}

// Expect records the packets of a flow.
func (r *Receiver) Expect(flow uint32, record *Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[flow] = record
}

// Close ends the receiver.
func (r *Receiver) Close() error {
	err := r.conn.Close()
	<-r.done
	return err
}

func (r *Receiver) run() {
	defer close(r.done)
	b, oob := make([]byte, 2048), make([]byte, 128)
	for {
		n, oobn, _, _, err := r.conn.ReadMsgUDPAddrPort(b, oob)
		if err != nil {
			return // closed
		}
		if n < MinSize || binary.BigEndian.Uint32(b) != magic {
			continue
		}
		r.mu.Lock()
		record := r.records[binary.BigEndian.Uint32(b[4:])]
		r.mu.Unlock()
		if record != nil {
			record.Arrived(binary.BigEndian.Uint64(b[8:]), kernelTime(oob[:oobn]))
		}
	}
}

// Arrived notes that a packet has arrived at a wall-clock time, in Unix nanoseconds. It is for one goroutine.
func (r *Record) Arrived(number uint64, wall int64) {
	if number >= uint64(len(r.arrived)) {
		return
	}
	if r.arrived[number].Load() != 0 {
		r.duplicates.Add(1)
		return
	}
	at := r.since(wall)
	r.arrived[number].Store(at)
	if r.onGap != nil && r.latest != 0 && at-r.latest > int64(r.gap) {
		r.onGap(Gap{time.Duration(r.latest), time.Duration(at), int(max(0, int64(number)-r.highest))})
	}
	r.latest = max(r.latest, at)
	if int64(number)+1 < r.highest {
		r.reordered.Add(1)
	}
	r.highest = max(r.highest, int64(number)+1)
}

// kernelTime is the receive time in a control message, as Unix nanoseconds; now if there is none.
func kernelTime(oob []byte) int64 {
	for len(oob) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS && len(data) >= 16 {
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			return ts.Nano()
		}
		oob = rest
	}
	return time.Now().UnixNano()
}
