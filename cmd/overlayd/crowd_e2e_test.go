package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/state"
)

const (
	crowdSize = 1000
	crowdMay  = 100 << 20 // bytes of memory that a node of such a network has at most
	crowdRuns = 4 * time.Second
)

// foundWithCrowd makes a network of so many members that were all here once, and none of which answers.
func (d *service) foundWithCrowd(size int) {
	d.Helper()
	d.works(d.overlayd("init", "--name", d.name, "--state", d.state))
	dir, err := state.Open(d.state)
	d.must(err)
	defer func() { _ = dir.Close() }()
	m, err := dir.Network()
	d.must(err)
	root, err := dir.RootKey()
	d.must(err)
	items, err := dir.Items()
	d.must(err)
	now := time.Now()
	addr := netip.MustParseAddr("10.71.1.0")
	far := netip.MustParseAddr("198.18.0.0")
	for n := range size - 1 {
		id, err := member.NewIdentity(rand.Reader)
		d.must(err)
		addr, far = addr.Next(), far.Next()
		serial := uint64(now.UnixMicro())
		cert, err := member.Authority{Network: m.Network, Root: root}.Issue(member.Certificate{
			WireGuard: id.WireGuard(), Signing: id.Signing(), Name: fmt.Sprintf("node-%d", n), IPv4: addr,
			Capabilities: member.Relay, NotBefore: now, NotAfter: now.Add(member.Validity), Serial: serial,
		}, now)
		d.must(err)
		record, err := member.SignRecord(id, cert, serial, member.Statement{
			Endpoints: []netip.AddrPort{netip.AddrPortFrom(far, 51871), netip.AddrPortFrom(far, 1024)},
		})
		d.must(err)
		items = append(items, member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored())
	}
	d.must(dir.SaveItems(items))
}

// memory is what a process has resident now, and has had at most, in bytes.
func memory(pid int) (now, most int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
	}
	return now << 10, most << 10
}

// A node of a network of a thousand is small, and quick to answer, whether it sends to nobody or to some of them.
func TestANodeOfAThousandIsSmall(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.site("belmont")
	belmont.foundWithCrowd(crowdSize)
	begin := time.Now()
	belmont.start()
	t.Logf("up after %v", time.Since(begin))
	fits := func(when string) {
		t.Helper()
		now, most := memory(belmont.process.PID())
		t.Logf("%s: %.1f MB resident, %.1f MB at most; %v", when, float64(now)/(1<<20), float64(most)/(1<<20), belmont.status().Counters)
		if now == 0 || most > crowdMay {
			t.Errorf("%s: %d bytes are resident, %d at most", when, now, most)
		}
	}
	fits("at the start")
	<-time.After(crowdRuns)
	fits("after some seconds")
	if n := belmont.status().Counters["wireguard_peers"]; n != 0 {
		t.Errorf("%d peers in WireGuard without any data", n)
	}
	for _, command := range []string{"status", "members", "peers", "paths"} {
		begin := time.Now()
		text := belmont.does(command)
		took := time.Since(begin)
		t.Logf("overlayctl %s: %d bytes after %v", command, len(text), took)
		if took > quickly || (command == "members" && strings.Count(text, "\n") != crowdSize+1) {
			t.Errorf("overlayctl %s: %d bytes after %v", command, len(text), took)
		}
	}

	conn := belmont.listenUDP(belmont.ns, "0.0.0.0:0")
	to := netip.MustParseAddr("10.71.1.0")
	var some []netip.AddrPort
	for range 20 {
		for range 40 {
			to = to.Next()
		}
		some = append(some, netip.AddrPortFrom(to, drumPort))
	}
	packet := make([]byte, 1200)
	end := time.Now().Add(crowdRuns)
	belmont.eventually(2*crowdRuns, func() error {
		for range 20 {
			for _, to := range some {
				_, _ = conn.WriteToUDPAddrPort(packet, to)
			}
		}
		if time.Now().Before(end) {
			return errors.New("more is to be sent")
		}
		return nil
	})
	if n := belmont.status().Counters["wireguard_peers"]; n != uint64(len(some)) {
		t.Errorf("%d peers in WireGuard with data to %d", n, len(some))
	}
	fits("with data to twenty that do not answer")
	belmont.stop()
}

// quickly is how soon a command has to be answered, with all that a loaded machine adds.
const quickly = 2 * time.Second
