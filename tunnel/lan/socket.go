package lan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	maxFrame   = 1514
	receiveBuf = 1 << 18 // bytes; a whole LAN may ask at once
)

// openSocket opens a packet socket that hears what is said about an address on an interface, and nothing else. It must
// have its filter before it is bound, or it would begin with frames of any kind.
func openSocket(at attachment, addr netip.Addr) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, explain(err)
	}
	file := os.NewFile(uintptr(fd), "packet socket on "+at.name)
	protocol := uint16(typeARP)
	if addr.Is6() {
		protocol = typeIPv6
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuf)
	err = attachFilter(fd, addr)
	if err == nil && addr.Is6() {
		group := multicastMAC(solicitedNode(addr))
		member := &unix.PacketMreq{Ifindex: int32(at.index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(group))}
		copy(member.Address[:], group[:])
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, member)
	}
	if err == nil {
		var network [2]byte
		binary.BigEndian.PutUint16(network[:], protocol)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(network[:]), Ifindex: at.index})
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("listen on %s: %w", at.name, explain(err))
	}
	return file, nil
}

// joinGroup makes the kernel report the group of solicitations for an address, as long as the file is open: switches
// that snoop on such reports would not send them here otherwise.
func joinGroup(at attachment, addr netip.Addr) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("join a multicast group: %w", err)
	}
	member := &unix.IPv6Mreq{Multiaddr: solicitedNode(addr).As16(), Interface: uint32(at.index)}
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, member); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("join a multicast group on %s: %w", at.name, err)
	}
	return os.NewFile(uintptr(fd), "multicast group on "+at.name), nil
}

func attachFilter(fd int, addr netip.Addr) error {
	program, err := bpf.Assemble(filter(addr))
	if err != nil {
		return err
	}
	raw := make([]unix.SockFilter, len(program))
	for i, p := range program {
		raw[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]})
}

// filter passes frames about an address that are meant for this host. Not those that it sends itself, and not those for
// others: besides what a promiscuous interface sees, the kernel counts frames of VLANs among them that it does not know.
func filter(addr netip.Addr) []bpf.Instruction {
	const ndType, ndTarget = ethernetLen + ipv6Len, ethernetLen + ipv6Len + 8
	var program []bpf.Instruction
	// must passes on what has a value at an offset. A jump of none is filled in below: it leads to the end.
	must := func(load bpf.Instruction, value uint32) {
		program = append(program, load, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value})
	}
	program = append(program, bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST})
	if addr.Is4() {
		value := binary.BigEndian.Uint32(addr.AsSlice())
		program = append(program,
			bpf.LoadAbsolute{Off: ethernetLen + 14, Size: 4}, // the sender
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 2},
			bpf.LoadAbsolute{Off: ethernetLen + 24, Size: 4}, // the target
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value})
	} else {
		must(bpf.LoadAbsolute{Off: ethernetLen + 6, Size: 1}, nextHeaderICMPv6)
		program = append(program,
			bpf.LoadAbsolute{Off: ndType, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: solicitation, SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: advertisement})
		for b, off := addr.AsSlice(), uint32(ndTarget); len(b) > 0; b, off = b[4:], off+4 {
			must(bpf.LoadAbsolute{Off: off, Size: 4}, binary.BigEndian.Uint32(b))
		}
	}
	end := len(program) + 1
	for i, in := range program {
		if jump, ok := in.(bpf.JumpIf); ok && jump.SkipTrue == 0 {
			jump.SkipTrue = uint8(end - i - 1)
			program[i] = jump
		}
	}
	return append(program, bpf.RetConstant{Val: maxFrame}, bpf.RetConstant{Val: 0})
}

func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (%v)", ErrPermission, err)
	}
	return err
}
