package lab

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"overlayd/internal/lab/netns"
)

// WireGuardCommand is the sub-command of overlaylab under which RunWireGuard runs.
const WireGuardCommand = "wireguard"

// bareInterface is the device of wireguard-go alone.
const bareInterface = "wg0"

// RunWireGuard runs wireguard-go alone, as it comes: its own UDP sockets, a real TUN, and the configuration that comes
// in (in the form of its configuration protocol). It writes a line when it is ready and runs until the context ends.
func RunWireGuard(ctx context.Context, in io.Reader, out io.Writer, mtu int) error {
	config, err := io.ReadAll(io.LimitReader(in, 1<<16))
	if err != nil {
		return err
	}
	link, err := tun.CreateTUN(bareInterface, mtu)
	if err != nil {
		return fmt.Errorf("make the TUN device: %w", err)
	}
	d := device.NewDevice(link, conn.NewStdNetBind(), device.NewLogger(device.LogLevelError, "wireguard: "))
	defer d.Close()
	if err := errors.Join(d.IpcSet(string(config)), d.Up()); err != nil {
		return fmt.Errorf("configure the device: %w", err)
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// bareEnd is one end of a tunnel of wireguard-go alone.
type bareEnd struct {
	key     *ecdh.PrivateKey
	host    *netns.Namespace
	outer   netip.Addr
	inner   netip.Addr
	process *netns.Process
}

// barePort is the UDP port of wireguard-go alone.
const barePort = 51820

// startBare starts a tunnel between two hosts; self is the path of overlaylab.
func startBare(s *netns.Spawner, self string, mtu int, ends [2]*bareEnd) error {
	for _, e := range ends {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		e.key = key
	}
	for i, e := range ends {
		if err := e.start(s, self, mtu, ends[1-i]); err != nil {
			return fmt.Errorf("wireguard-go alone: %w", err)
		}
	}
	return nil
}

// start starts one end and waits until it is ready.
func (e *bareEnd) start(s *netns.Spawner, self string, mtu int, peer *bareEnd) error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(self, WireGuardCommand, "--mtu", fmt.Sprint(mtu))
	cmd.Stdin = strings.NewReader(fmt.Sprintf("private_key=%s\nlisten_port=%d\n"+
		"public_key=%s\nendpoint=%v\nallowed_ip=%v/32\n",
		hex.EncodeToString(e.key.Bytes()), barePort,
		hex.EncodeToString(peer.key.PublicKey().Bytes()), netip.AddrPortFrom(peer.outer, barePort), peer.inner))
	cmd.Stdout, cmd.Stderr, cmd.Env = in, os.Stderr, environ()
	e.process, err = s.Start(e.host, cmd)
	in.Close()
	if err != nil {
		return err
	}
	_ = out.SetReadDeadline(time.Now().Add(readyPatience))
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("it is not ready: %q, %w", line, err)
	}
	return errors.Join(
		e.host.AddAddress(bareInterface, netip.PrefixFrom(e.inner, 24)),
		e.host.Up(bareInterface),
	)
}
