package control

import (
	"context"
	"fmt"
	"net"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credentials say who connected, by the kernel's word at the time of connecting.
type credentials struct {
	uid, gid uint32
	pid      int32
	groups   []uint32 // supplementary
}

// guard says who may use the API.
type guard struct {
	uid uint32 // of the daemon
	gid uint32 // of the socket
}

func (g guard) allows(c credentials) bool {
	return c.uid == 0 || c.uid == g.uid || c.gid == g.gid || slices.Contains(c.groups, g.gid)
}

// owns reports whether c could read the daemon's files anyway.
func (g guard) owns(c credentials) bool { return c.uid == 0 || c.uid == g.uid }

// maxGroups bounds the supplementary groups that are looked at.
const maxGroups = 1024

// credentialsOf asks the kernel about the other end of a Unix connection (unix(7): SO_PEERCRED, SO_PEERGROUPS).
func credentialsOf(conn net.Conn) (credentials, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return credentials{}, fmt.Errorf("peer credentials: %T is no socket", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return credentials{}, fmt.Errorf("peer credentials: %w", err)
	}
	var c credentials
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner == nil {
			c = credentials{uid: cred.Uid, gid: cred.Gid, pid: cred.Pid, groups: groupsOf(fd)}
		}
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return credentials{}, fmt.Errorf("peer credentials: %w", err)
	}
	return c, nil
}

// groupsOf is none where the kernel (before 4.13) does not tell.
func groupsOf(fd uintptr) []uint32 {
	groups := make([]uint32, maxGroups)
	size := uint32(len(groups)) * uint32(unsafe.Sizeof(groups[0]))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	return groups[:size/uint32(unsafe.Sizeof(groups[0]))]
}

type credentialsKey struct{}

// withCredentials is an http.Server's ConnContext. A connection whose other end is unknown gets none, and is refused.
func withCredentials(ctx context.Context, conn net.Conn) context.Context {
	if c, err := credentialsOf(conn); err == nil {
		return context.WithValue(ctx, credentialsKey{}, c)
	}
	return ctx
}

func credentialsFrom(ctx context.Context) (credentials, bool) {
	c, ok := ctx.Value(credentialsKey{}).(credentials)
	return c, ok
}
