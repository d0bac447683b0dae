package lab

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/thread"
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
	epoch := time.Now()
	record, err := meter.NewRecord(epoch, 10*ms, length)
	if err != nil {
		t.Fatal(err)
	}
	r, err := meter.Listen(w.sites[to].host, 7007)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Expect(1, record)
	s, err := meter.Send(w.sites[from].host, meter.Flow{
		ID: 1, From: w.sites[from].inside, To: netip.AddrPortFrom(w.sites[to].public, 7007), Every: 10 * ms, Size: 100,
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
		w.change(pair, func(l emulator.Link) emulator.Link { l.Cut = true; return l })
		<-time.After(300 * ms)
		w.change(pair, func(l emulator.Link) emulator.Link { l.Cut = false; return l })
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
