package meter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Transfer is a TCP connection that carries as much as it can.
type Transfer struct {
	From, To   netip.Addr
	For        time.Duration // how long the sender sends
	Bytes      int64         // if not 0, the sender stops after so many
	Congestion string        // congestion control of the sender, as the kernel names it; empty for its default
	Content    []byte        // sent over and over; nil for zeros
}

// Goodput is what the receiving application got.
type Goodput struct {
	Bytes     int64         // until the transfer's time was over
	Took      time.Duration // the transfer's time, or until all was received if that came first
	PerSecond []int64       // bytes in each whole or begun second
}

// Rate is the mean goodput in bits a second.
func (g Goodput) Rate() float64 {
	if g.Took <= 0 {
		return 0
	}
	return float64(g.Bytes) * 8 / g.Took.Seconds()
}

// chunk is how much is written or read at a time.
const chunk = 1 << 18

// connectPatience bounds the setting up of a connection.
const connectPatience = 15 * time.Second

// drainPatience bounds how long after its time a transfer may go on delivering what is under way.
const drainPatience = 10 * time.Second

// Run runs the transfer from one place to another, until its end or that of the context.
func (t Transfer) Run(ctx context.Context, from, to Place) (Goodput, error) {
	out, in, err := t.connect(ctx, from, to)
	if err != nil {
		return Goodput{}, err
	}
	defer context.AfterFunc(ctx, func() { out.Close(); in.Close() })()
	defer in.Close()
	start := time.Now()
	sent := make(chan error, 1)
	go func() { sent <- t.send(out, start) }()
	g, err := t.receive(in, start)
	out.Close()
	if err = errors.Join(<-sent, err); ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return g, err
}

// connect opens the listener at to, and the connection from from.
func (t Transfer) connect(ctx context.Context, from, to Place) (out, in net.Conn, err error) {
	var listener net.Listener
	err = to.Do(func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(t.To, 0).String())
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the transfer: %w", err)
	}
	defer listener.Close()
	dialer := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: t.From.AsSlice()},
		Timeout:   connectPatience,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			if t.Congestion == "" {
				return nil
			}
			ctlErr := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, t.Congestion)
			})
			if err != nil {
				return fmt.Errorf("this kernel has no congestion control %q: %w", t.Congestion, err)
			}
			return ctlErr
		},
	}
	err = from.Do(func() (err error) {
		out, err = dialer.DialContext(ctx, "tcp", listener.Addr().String())
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("connect for the transfer: %w", err)
	}
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(connectPatience))
	if in, err = listener.Accept(); err != nil {
		out.Close()
		return nil, nil, fmt.Errorf("accept the transfer: %w", err)
	}
	return out, in, nil
}

// send writes the content over and over until the time or the number of bytes is over.
func (t Transfer) send(out net.Conn, start time.Time) error {
	if t.For > 0 {
		_ = out.SetWriteDeadline(start.Add(t.For))
	}
	content := t.Content
	if len(content) == 0 {
		content = make([]byte, chunk)
	}
	for left := t.Bytes; t.Bytes == 0 || left > 0; {
		b := content
		if t.Bytes > 0 {
			b = b[:min(int64(len(b)), left)]
		}
		n, err := out.Write(b)
		left -= int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return out.(*net.TCPConn).CloseWrite()
}

// receive reads until the sender has closed, and counts.
func (t Transfer) receive(in net.Conn, start time.Time) (Goodput, error) {
	if t.For > 0 {
		_ = in.SetReadDeadline(start.Add(t.For + drainPatience))
	}
	var g Goodput
	b := make([]byte, chunk)
	for {
		n, err := in.Read(b)
		at := time.Since(start)
		if n > 0 && (t.For == 0 || at <= t.For) {
			for int(at/time.Second) >= len(g.PerSecond) {
				g.PerSecond = append(g.PerSecond, 0)
			}
			g.PerSecond[at/time.Second] += int64(n)
			g.Bytes += int64(n)
			g.Took = at
		}
		if err != nil {
			if t.For > 0 && t.Bytes == 0 {
				g.Took = t.For
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return g, fmt.Errorf("what was under way had not arrived %v after the transfer's end", drainPatience)
			}
			if errors.Is(err, io.EOF) {
				return g, nil
			}
			return g, fmt.Errorf("receive: %w", err)
		}
	}
}
