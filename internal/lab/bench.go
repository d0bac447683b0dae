package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/netns"
)

// BenchOptions say how throughput is measured.
type BenchOptions struct {
	Bin    string        // directory of overlayd and overlayctl
	Self   string        // path of overlaylab, which can run wireguard-go alone
	Rounds int           // how often each is measured
	For    time.Duration // length of a transfer; its first second does not count
	Out    io.Writer     // what is being done; nil: nothing is told
}

// benchMTU is the MTU of both tunnels, in bytes: overlayd's default.
const benchMTU = 1400

// congestion is the TCP congestion control of all transfers.
const congestion = "cubic"

// bench is a measurement under way: three sites, a router that forwards between them in the kernel, two tunnels.
//
//	a ─veth─┐
//	b ─veth─┤ router      no emulator: as fast as the machine can
//	c ─veth─┘
type bench struct {
	options BenchOptions
	spawner *netns.Spawner
	router  *netns.Namespace
	sites   map[string]*site
	nodes   map[string]*node
	bare    [2]*bareEnd
	closers []func()
}

// The sites: data goes from sender to receiver, and in the relayed measurement through relay.
const (
	sender   = "sender"
	receiver = "receiver"
	relay    = "relay"
)

// Bench measures the throughput of a direct path against wireguard-go alone and against kernel forwarding, and what a
// relay spends. It needs root.
func Bench(ctx context.Context, o BenchOptions) (BenchReport, error) {
	programs, err := findTools(o.Bin)
	if err != nil {
		return BenchReport{}, err
	}
	dir, err := os.MkdirTemp("", "overlaylab-")
	if err != nil {
		return BenchReport{}, err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, spawner: netns.NewSpawner(), sites: make(map[string]*site), nodes: make(map[string]*node)}
	defer b.close()
	if err := b.build(); err != nil {
		return BenchReport{}, err
	}
	b.tell("starting overlayd at three sites, and wireguard-go alone at two")
	if err := b.startOverlay(ctx, programs, dir); err != nil {
		return BenchReport{}, err
	}
	b.bare = [2]*bareEnd{
		{host: b.sites[sender].host, outer: b.sites[sender].inside, inner: netip.MustParseAddr("10.72.0.1")},
		{host: b.sites[receiver].host, outer: b.sites[receiver].inside, inner: netip.MustParseAddr("10.72.0.2")},
	}
	if err := startBare(b.spawner, o.Self, benchMTU, b.bare); err != nil {
		return BenchReport{}, err
	}
	return b.measure(ctx)
}

func (b *bench) tell(format string, args ...any) {
	if b.options.Out != nil {
		fmt.Fprintf(b.options.Out, format+"\n", args...)
	}
}

func (b *bench) close() {
	for _, n := range b.nodes {
		n.kill()
	}
	b.spawner.Close()
	for _, f := range slices.Backward(b.closers) {
		f()
	}
}

// build makes the namespaces and the veth pairs between them.
func (b *bench) build() (err error) {
	if b.router, err = netns.New(); err != nil {
		return err
	}
	b.closers = append(b.closers, func() { b.router.Close() })
	if err := b.router.Sysctl("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	for i, name := range []string{sender, receiver, relay} {
		host, err := netns.New()
		if err != nil {
			return err
		}
		b.closers = append(b.closers, func() { host.Close() })
		inside := netip.AddrFrom4([4]byte{198, 18, byte(i), 2}) // RFC 2544, section 12: for benchmarks
		gateway := netip.AddrFrom4([4]byte{198, 18, byte(i), 1})
		device := fmt.Sprintf("lan%d", i)
		err = errors.Join(
			netns.Connect(host, "eth0", b.router, device, 1500),
			host.AddAddress("eth0", netip.PrefixFrom(inside, 24)),
			b.router.AddAddress(device, netip.PrefixFrom(gateway, 24)),
			host.AddRoute("eth0", netns.DefaultRoute(), gateway),
		)
		if err != nil {
			return err
		}
		b.sites[name] = &site{name: name, host: host, inside: inside, public: inside}
	}
	return nil
}

// startOverlay makes a network of the three sites.
func (b *bench) startOverlay(ctx context.Context, programs tools, dir string) error {
	for name, st := range b.sites {
		n := newNode(st, programs, b.spawner, filepath.Join(dir, name))
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return err
		}
		b.nodes[name] = n
	}
	founder := b.nodes[relay]
	if err := errors.Join(founder.found(ctx), founder.start()); err != nil {
		return err
	}
	for _, name := range []string{sender, receiver} {
		token, err := founder.invite(ctx, "--name", name)
		if err != nil {
			return err
		}
		if err := b.nodes[name].enter(ctx, token); err != nil {
			return err
		}
	}
	for _, name := range []string{sender, receiver} {
		if err := b.nodes[name].ready(ctx); err != nil {
			return err
		}
	}
	return b.awaitPath(ctx, "direct")
}

// awaitPath waits until data goes the given way in both directions. Packets keep the pair active meanwhile.
func (b *bench) awaitPath(ctx context.Context, want string) error {
	for _, way := range [][2]string{{sender, receiver}, {receiver, sender}} {
		from, to := b.nodes[way[0]], b.nodes[way[1]]
		stop, err := b.keepActive(from, to)
		if err != nil {
			return err
		}
		err = from.poll(ctx, readyPatience, func(ctx context.Context) error {
			report, err := from.paths(ctx)
			if err != nil {
				return err
			}
			for _, p := range report.Peers {
				if p.Peer == to.site.name && p.State == control.StateUp && p.Selected != nil && judge.RouteName(p.Selected.Via) == want {
					return nil
				}
			}
			return fmt.Errorf("%s does not send to %s %s", from.site.name, to.site.name, want)
		})
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// keepActive sends a few packets a second from one node to another until stop is called.
func (b *bench) keepActive(from, to *node) (stop func(), err error) {
	record, err := meter.NewRecord(time.Now(), 100*time.Millisecond, time.Minute)
	if err != nil {
		return nil, err
	}
	s, err := meter.Send(from.site.host, meter.Flow{
		From: from.address(), To: netip.AddrPortFrom(to.address(), meterPort), Every: 100 * time.Millisecond, Size: 64,
	}, record)
	if err != nil {
		return nil, err
	}
	return s.Stop, nil
}

// measure runs all rounds.
func (b *bench) measure(ctx context.Context) (BenchReport, error) {
	tunnels := []struct {
		name     string
		from, to netip.Addr
		pids     []int
	}{
		{"kernel", b.sites[sender].inside, b.sites[receiver].inside, nil},
		{"wireguard", b.bare[0].inner, b.bare[1].inner, []int{b.bare[0].process.PID(), b.bare[1].process.PID()}},
		{
			"direct", b.nodes[sender].address(), b.nodes[receiver].address(),
			[]int{b.nodes[sender].current().PID(), b.nodes[receiver].current().PID()},
		},
	}
	idle := b.usages()
	samples := make(map[string][]sample)
	for round := range b.options.Rounds {
		order := slices.Clone(tunnels)
		if round%2 == 1 {
			slices.Reverse(order) // what drifts hits both alike
		}
		for _, t := range order {
			s, err := b.transfer(ctx, t.name, t.from, t.to, t.pids)
			if err != nil {
				return BenchReport{}, err
			}
			samples[t.name] = append(samples[t.name], s)
		}
	}
	if err := b.router.Block(b.sites[sender].inside, b.sites[receiver].inside); err != nil {
		return BenchReport{}, err
	}
	if err := b.awaitPath(ctx, "via "+relay); err != nil {
		return BenchReport{}, err
	}
	for range b.options.Rounds {
		watched := []int{b.nodes[relay].current().PID()}
		s, err := b.transfer(ctx, "relayed", b.nodes[sender].address(), b.nodes[receiver].address(), watched)
		if err != nil {
			return BenchReport{}, err
		}
		samples["relayed"] = append(samples["relayed"], s)
	}
	report := newBenchReport(samples)
	report.Idle, report.Busy = idle, b.usages()
	return report, nil
}

// usages is what every daemon has used until now, those of wireguard-go alone among them.
func (b *bench) usages() []judge.Usage {
	var all []judge.Usage
	for _, name := range []string{sender, relay, receiver} {
		all = append(all, b.nodes[name].usage())
	}
	for i, name := range []string{sender, receiver} {
		u := judge.Usage{Node: "wireguard-go at " + name, CPU: cpuTime(b.bare[i].process.PID())}
		u.Resident, u.Peak = memory(b.bare[i].process.PID())
		all = append(all, u)
	}
	return all
}

// sample is one transfer.
type sample struct {
	rate     float64 // bits a second
	cpuPerGB float64 // seconds of CPU of the processes that were watched, per 10⁹ bytes of goodput
}

// transfer runs one transfer and watches what processes spend on it.
func (b *bench) transfer(ctx context.Context, name string, from, to netip.Addr, pids []int) (sample, error) {
	before := cpuTimes(pids)
	g, err := meter.Transfer{From: from, To: to, For: b.options.For, Congestion: congestion}.
		Run(ctx, b.sites[sender].host, b.sites[receiver].host)
	if err != nil {
		return sample{}, fmt.Errorf("the transfer %s: %w", name, err)
	}
	spent := cpuTimes(pids) - before
	seconds := int(b.options.For / time.Second)
	var counted int64
	for i := 1; i < min(seconds, len(g.PerSecond)); i++ {
		counted += g.PerSecond[i]
	}
	s := sample{
		rate:     float64(counted) * 8 / float64(max(1, seconds-1)),
		cpuPerGB: spent.Seconds() / (float64(max(1, g.Bytes)) / 1e9),
	}
	b.tell("  %-10s %7.3f Gbit/s", strings.TrimSpace(name), s.rate/1e9)
	return s, nil
}

// cpuTimes is the processor time of several processes together.
func cpuTimes(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		sum += cpuTime(pid)
	}
	return sum
}
