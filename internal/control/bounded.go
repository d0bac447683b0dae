package control

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// bounded is a listener that has at most maxConns connections open, and hangs up on those beyond.
type bounded struct {
	net.Listener
	open atomic.Int32
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) > maxConns {
			b.open.Add(-1)
			c.Close()
			continue
		}
		return &counted{Conn: c, release: sync.OnceFunc(func() { b.open.Add(-1) })}, nil
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	release func()
}

func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// SyscallConn makes the credentials of the other end visible.
func (c *counted) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.EINVAL
}
