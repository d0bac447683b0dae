package lab

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/thread"
	"overlayd/internal/lab/wan"
)

const ms = time.Millisecond

func TestMain(m *testing.M) {
	thread.Prioritize()
	os.Exit(m.Run())
}

// needRoot skips a test that needs namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
}

// worldOf builds the world of a scenario without overlayd.
func worldOf(t testing.TB, text string) *world {
	t.Helper()
	needRoot(t)
	s, err := scenario.Parse([]byte("name: test\nduration: 1m\n"+text), false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(s, s.Seed, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// flow sends packets between two sites' own addresses for a while and returns what became of them. In the middle it
// calls during, if that is not nil, and returns when that was.
func flow(t testing.TB, w *world, from, to string, length time.Duration, during func()) (meter.Series, time.Duration) {
	t.Helper()
	return flowTo(t, w, from, to, w.sites[from].inside, w.sites[to].public, length, during)
}

// flowTo sends packets from one address to another.
func flowTo(
	t testing.TB, w *world, from, to string, src, dst netip.Addr, length time.Duration, during func(),
) (meter.Series, time.Duration) {
	t.Helper()
	epoch := time.Now()
	record, err := meter.NewRecord(epoch, 10*ms, length)
	if err != nil {
		t.Fatal(err)
	}
	r, err := meter.Listen(w.place(to), 7007)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Expect(1, record)
	s, err := meter.Send(w.place(from), meter.Flow{
		ID: 1, From: src, To: netip.AddrPortFrom(dst, 7007), Every: 10 * ms, Size: 100,
	}, record)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(length / 2)
	at := time.Since(epoch)
	if during != nil {
		during()
	}
	<-time.After(length/2 + 300*ms)
	s.Stop()
	return record.Series(), at
}

func TestEmulatorDelaysByWhatIsAsked(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -> b: {delay: 20ms}, b -> a: {delay: 5ms}}")
	for _, way := range []struct {
		from, to string
		want     time.Duration
	}{{"a", "b", 20 * ms}, {"b", "a", 5 * ms}} {
		s, _ := flow(t, w, way.from, way.to, 2*time.Second, nil)
		delays := s.Delays(0, time.Minute)
		if len(delays) < 190 || len(delays) < len(s.Sent) {
			t.Fatalf("%d of %d packets arrived", len(delays), len(s.Sent))
		}
		least, median, p95 := delays[0], meter.Quantile(delays, 0.5), meter.Quantile(delays, 0.95)
		t.Logf("%v: min %v, median %v, p95 %v, max %v", way.want, least, median, p95, delays[len(delays)-1])
		if least < way.want || median > way.want+2*ms {
			t.Errorf("delay %v: min %v, median %v", way.want, least, median)
		}
	}
	late, counts := w.wan.Report()
	t.Logf("lateness: median %v, p99 %v, max %v; %v", late.Quantile(0.5), late.Quantile(0.99), late.Max(), counts)
}

func TestCutIsAnOutageOfItsLength(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -- b: {delay: 20ms}}")
	pair := scenario.Pair{From: "a", To: "b"}
	s, at := flow(t, w, "a", "b", 2*time.Second, func() {
		w.change(pair, func(l wan.Link) wan.Link { l.Cut = true; return l })
		<-time.After(300 * ms)
		w.change(pair, func(l wan.Link) wan.Link { l.Cut = false; return l })
	})
	o := s.Outage(at-100*ms, at+time.Second)
	t.Logf("%+v", o)
	if o.Length < 290*ms || o.Length > 330*ms || o.Lost < 29 || o.Lost > 32 || o.Open {
		t.Errorf("a cut of 300 ms is an outage of %+v", o)
	}
}

func TestTransferIsHeldToTheRate(t *testing.T) {
	w := worldOf(t, `
sites: {a: {uplink: {rate: 20mbit, queue: 100ms}}, b: {}}
links: {a -- b: {rtt: 20ms}}`)
	from, to := w.sites["a"], w.sites["b"]
	transfer := meter.Transfer{From: from.inside, To: to.public, For: 4 * time.Second, Congestion: "cubic"}
	g, err := transfer.Run(t.Context(), from.host, to.host)
	if err != nil {
		t.Fatal(err)
	}
	late, counts := w.wan.Report()
	t.Logf("%.2f Mbit/s, %v; %v, %v", g.Rate()/1e6, g.PerSecond, late.Max(), counts)
	// 1448 of 1500 bytes are the application's, and slow start takes some of the first second.
	if rate := g.Rate(); rate > 20e6*1448/1500 || rate < 12e6 {
		t.Errorf("%.1f Mbit/s through an uplink of 20", rate/1e6)
	}
}

func TestMasqueradingRouterLetsOnlyAnswersIn(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {nat: masquerade}}\nlinks: {a -- b: {rtt: 10ms}}")
	out, _ := flow(t, w, "b", "a", 500*ms, nil)
	if sent, lost := out.Loss(0, time.Minute); lost > 0 || sent == 0 {
		t.Errorf("from inside: %d of %d lost", lost, sent)
	}
	in, _ := flow(t, w, "a", "b", 500*ms, nil)
	if sent, lost := in.Loss(0, time.Minute); lost != sent {
		t.Errorf("from outside: %d of %d lost", lost, sent)
	}
}

func TestCrowdIsLinkedByItsDistances(t *testing.T) {
	w := worldOf(t, "crowd: {count: 3, rtt: 20ms..80ms}\nlinks: {node-1 -- node-2: {rtt: 100ms}}")
	crowd := w.scenario.Crowd
	for _, way := range []struct {
		to   string
		want time.Duration
	}{{"node-2", 50 * ms}, {"node-3", crowd.Delay(1, "node-1", "node-3")}} {
		s, _ := flow(t, w, "node-1", way.to, 500*ms, nil)
		delays := s.Delays(0, time.Minute)
		if len(delays) == 0 || delays[0] < way.want || meter.Quantile(delays, 0.5) > way.want+2*ms {
			t.Errorf("to %s: %d arrived, and the delay should be %v: %v", way.to, len(delays), way.want, delays[:min(1, len(delays))])
		}
	}
	sent, _ := w.wan.Sent()
	if each := uint64(100 + 20 + 8); sent[0] < 90*each || sent[0] > 105*each || sent[1] != 0 {
		t.Errorf("the sites have sent %v bytes", sent)
	}
}

func TestSplitCutsAllBetweenTheGroupsUntilItIsHealed(t *testing.T) {
	w := worldOf(t, "crowd: {count: 3, rtt: 2ms}")
	severed := w.scenario.Severs(scenario.Split{Groups: []scenario.Group{{"node-1"}, {"node-2", "node-3"}}})
	w.split(severed, true)
	for _, way := range []struct {
		from, to string
		lost     bool
	}{{"node-1", "node-2", true}, {"node-3", "node-1", true}, {"node-2", "node-3", false}} {
		s, _ := flow(t, w, way.from, way.to, 200*ms, nil)
		if sent, lost := s.Loss(0, time.Minute); way.lost != (lost == sent) || !way.lost && lost > 0 {
			t.Errorf("%s to %s: %d of %d lost", way.from, way.to, lost, sent)
		}
	}
	w.split(severed, false)
	s, _ := flow(t, w, "node-1", "node-2", 200*ms, nil)
	if _, lost := s.Loss(0, time.Minute); lost > 0 {
		t.Errorf("healed, and %d lost", lost)
	}
}

func TestHostsOfALANReachEachOtherAndGoOutByTheGateway(t *testing.T) {
	w := worldOf(t, `
sites: {a: {}, b: {}}
links: {a -- b: {rtt: 2ms}}
lans: {office: {subnet: 192.168.7.0/24, gateway: 192.168.7.1, nodes: [a, b], hosts: [desk, printer]}}`)
	lan := w.scenario.LANs[0]
	desk, printer := lan.Address("desk"), lan.Address("printer")
	if desk != netip.MustParseAddr("192.168.7.4") {
		t.Errorf("the desk has %v", desk)
	}
	s, _ := flowTo(t, w, "desk", "printer", desk, printer, 200*ms, nil)
	if sent, lost := s.Loss(0, time.Minute); lost > 0 || sent == 0 {
		t.Errorf("on the LAN: %d of %d lost", lost, sent)
	}
	// Nobody has the gateway's address yet; then node b takes it, and what is for its own uplink arrives. ARP asks once
	// a second.
	b := w.sites["b"]
	out, at := flowTo(t, w, "desk", "b", desk, b.public, 2400*ms, func() {
		if err := b.host.AddAddress(lanDevice, netip.PrefixFrom(lan.Gateway, 32)); err != nil {
			t.Error(err)
		}
	})
	if first, ok := out.First(0); !ok || first < at {
		t.Errorf("first arrival %v, the gateway was there at %v", first, at)
	}
	tr := &trial{scenario: w.scenario, world: w}
	if name, err := tr.gatewayOf("office"); err != nil || name != "b" {
		t.Errorf("the gateway is %q, %v", name, err)
	}
}
