package tunnel

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// cpu is the processor time used so far by the process or the thread.
func cpu(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRelay forwards label frames from one loopback socket to another, in messages of 45 datagrams. What counts is
// the processor time of the relay alone: cpu-s/GB.
func BenchmarkRelay(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := newNeighbourhood(b)
	buffers, sizes, endpoints := [][]byte{make([]byte, 65535)}, make([]int, 1), make([]conn.Endpoint, 1)
	var frames [][]byte
	for range 45 {
		frames = append(frames, labelled(0x11, transport(1432, 1)))
	}
	last := transport(64, 1) // receive returns when there is something for wireguard-go
	batch := n.a.socket.NewBatch()
	var used time.Duration
	for b.Loop() {
		batch.Packets(n.addr(), 0, frames)
		batch.Packet(n.addr(), 0, last)
		if _, err := n.a.socket.Send(batch); err != nil {
			b.Fatal(err)
		}
		batch.Reset()
		before := cpu(unix.RUSAGE_THREAD)
		if _, err := n.in.receive(buffers, sizes, endpoints); err != nil {
			b.Fatal(err)
		}
		used += cpu(unix.RUSAGE_THREAD) - before
		n.backlogs[0].passed(n.backlogs[0].handed.Load())
		for got := 0; got < len(frames); {
			k, err := n.b.reader.Read()
			if err != nil {
				b.Fatal(err)
			}
			for i := range k {
				data, _, _ := n.b.reader.Message(i)
				got += len(data) / len(frames[0])
			}
		}
	}
	packets := float64(b.N * len(frames))
	bytes := packets * float64(len(frames[0]))
	b.SetBytes(int64(len(frames) * len(frames[0])))
	b.ReportMetric(float64(used.Nanoseconds())/packets, "cpu-ns/packet")
	b.ReportMetric(used.Seconds()/bytes*1e9, "cpu-s/GB")
}

// BenchmarkDirect sends over TCP from one TUN interface to another, with this package and with wireguard-go's own Bind
// and TUN code, all in one process: compare the two. It counts the processor time of both ends together, with that of
// the hosts.
func BenchmarkDirect(b *testing.B) {
	b.Run("overlayd", func(b *testing.B) {
		from, to := connectedHosts(b)
		bulk(b, from, to)
	})
	b.Run("wireguard-go", func(b *testing.B) {
		from, to := newHost(b, 1), newHost(b, 2)
		connectStd(b, from, to)
		bulk(b, from, to)
	})
}

// connectStd connects two hosts by wireguard-go alone.
func connectStd(b *testing.B, hosts ...*host) {
	b.Helper()
	var (
		devices []*device.Device
		keys    []*ecdh.PrivateKey
		ports   []uint16
	)
	for _, h := range hosts {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		bind := &portBind{Bind: conn.NewStdNetBind()}
		d := device.NewDevice(h.tun, bind, device.NewLogger(device.LogLevelSilent, ""))
		b.Cleanup(d.Close)
		if err := d.IpcSet("private_key=" + hex.EncodeToString(key.Bytes())); err != nil {
			b.Fatal(err)
		}
		if err := d.Up(); err != nil {
			b.Fatal(err)
		}
		devices, keys, ports = append(devices, d), append(keys, key), append(ports, bind.port)
	}
	for i, d := range devices {
		other := 1 - i
		if err := d.IpcSet(fmt.Sprintf("public_key=%s\nendpoint=127.0.0.1:%d\nallowed_ip=%s/32\n",
			hex.EncodeToString(keys[other].PublicKey().Bytes()), ports[other], hosts[other].addr)); err != nil {
			b.Fatal(err)
		}
	}
}

// portBind remembers which port it got.
type portBind struct {
	conn.Bind
	port uint16
}

func (p *portBind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	functions, port, err := p.Bind.Open(0)
	p.port = port
	return functions, port, err
}

// bulk sends as much as it can in one TCP connection.
func bulk(b *testing.B, from, to *host) {
	b.Helper()
	var listener net.Listener
	to.do(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(to.addr.String(), "0"))
		return err
	})
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buffer := make([]byte, 1<<18)
		for err == nil {
			_, err = c.Read(buffer)
		}
	}()
	var c net.Conn
	from.do(func() (err error) {
		c, err = net.DialTimeout("tcp", listener.Addr().String(), patience)
		return err
	})
	chunk := make([]byte, 1<<17)
	for range 200 { // let the window open
		if _, err := c.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(chunk)))
	before := cpu(unix.RUSAGE_SELF)
	for b.Loop() {
		if _, err := c.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	<-done
	used := cpu(unix.RUSAGE_SELF) - before
	b.ReportMetric(used.Seconds()/(float64(b.N)*float64(len(chunk)))*1e9, "cpu-s/GB")
}
