package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"overlayd/internal/lab/matrix"
	"overlayd/pathselect"
)

const scripts = "../../../scripts/studies"

// slice1 is the cut of the PlanetLab data that is kept with package matrix.
const slice1 = "../matrix/testdata/rtt-1.txt.gz"

func run(t testing.TB, text string) Report {
	t.Helper()
	s, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Name = t.Name()
	r, err := s.Run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	r.Print(&table)
	t.Log(table.String())
	return r
}

// What an algorithm that wants the shortest way is worth: nearly the best way, soon, for few probes and few changes.
const (
	mostMedian   = 0.02
	mostRegret95 = 0.10
	mostSwitches = 2.0
	probedByRoot = 3.0
)

func holds(t *testing.T, r Report) {
	t.Helper()
	for _, x := range r.Results {
		if x.Regret.Median > mostMedian || x.Regret.P95 > mostRegret95 || x.Pathless > 0 {
			t.Errorf("%s: regret %.3f, 95%% of directions %.3f, %d without a path", x.Algorithm, x.Regret.Median, x.Regret.P95, x.Pathless)
		}
		if x.Mean > mostSwitches {
			t.Errorf("%s: %.2f switches in a turn", x.Algorithm, x.Mean)
		}
		if bound := probedByRoot * math.Sqrt(float64(r.Nodes)); x.Probed.Max > bound {
			t.Errorf("%s: a node probes %.0f members, the bound is %.0f", x.Algorithm, x.Probed.Max, bound)
		}
	}
}

// In a network with real round-trip times, pairs find nearly the best ways there are, though nobody knows all of it.
func TestPairsFindNearlyTheBestWays(t *testing.T) {
	r := run(t, `
matrix: {file: `+slice1+`, hold: 30s}
pairs: {sample: 24}
settle: 2m
select: {margin: 1ms, ratio: 5%}`)
	holds(t, r)
	if r.Results[0].Direct.P95 < 2*mostRegret95 {
		t.Error("the direct paths do as well: nothing was shown")
	}
}

// The studies in scripts/studies, if OVERLAYD_STUDY names one of them: make study.
func TestStudies(t *testing.T) {
	name := os.Getenv("OVERLAYD_STUDY")
	if name == "" {
		t.Skip("OVERLAYD_STUDY names no study; some take half an hour")
	}
	r, err := Run(t.Context(), filepath.Join(scripts, name+".yaml"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	r.Print(&table)
	t.Log(table.String())
	holds(t, r)
}

// Nodes find who is near to them by asking those who are.
func TestNodesFindWhoIsNear(t *testing.T) {
	s, err := parse([]byte("matrix: {file: " + slice1 + ", hold: 1m}\npairs: all\n"))
	if err != nil {
		t.Fatal(err)
	}
	slices, err := s.matrices()
	if err != nil {
		t.Fatal(err)
	}
	w := s.build(slices, pathselect.Balanced(), 1)
	w.start()
	w.net.Run(4 * time.Minute)
	const nearest = 5
	near, all := 0, 0
	for a, h := range w.hosts {
		others := make([]int, 0, len(w.hosts))
		for b, other := range w.hosts {
			if b != a {
				others = append(others, b)
				if h.Core.InContact(other.ID) {
					all++
				}
			}
		}
		sort.Slice(others, func(i, j int) bool { return slices[0].RTT(a, others[i]) < slices[0].RTT(a, others[j]) })
		for _, b := range others[:nearest] {
			if h.Core.InContact(w.hosts[b].ID) {
				near++
			}
		}
	}
	found := float64(near) / float64(nearest*len(w.hosts))
	known := float64(all) / float64(len(w.hosts)*(len(w.hosts)-1))
	t.Logf("in contact with %.0f%% of all, and with %.0f%% of the nearest %d", 100*known, 100*found, nearest)
	if found < 0.9 || known > 0.6 {
		t.Errorf("in contact with %.2f of all, and with %.2f of the nearest %d", known, found, nearest)
	}
}

func TestSameSeedSameReport(t *testing.T) {
	short := func(seed uint64) string {
		s, err := parse([]byte(`
matrix: {file: ` + slice1 + `, nodes: 20, seed: 3}
pairs: {sample: 4}
active: 10s
settle: 20s`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Run(t.Context(), Options{Seed: &seed})
		if err != nil {
			t.Fatal(err)
		}
		r.Seed = 0
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := short(1)
	if again := short(1); again != first {
		t.Errorf("the same seed gives\n%s\nand\n%s", first, again)
	}
	if other := short(2); other == first {
		t.Error("another seed gives the same")
	}
}

// A cut of the only good link takes a pair to another path, and the report tells how long nothing was delivered.
func TestFaultsAreFelt(t *testing.T) {
	r := run(t, `
matrix: {file: `+slice1+`, nodes: 12, seed: 3, hold: 30s}
pairs: {source: 1}
settle: 20s
data: 100ms
faults:
  - {at: 10s, cut: [1, 2]}
  - {at: 10s, lossy: [1, 3], loss: 50%}
  - {at: 25s, restore: [1, 2]}`)
	x := r.Results[0]
	if x.Outage == nil || x.Outage.Max == 0 || x.Outage.Max > 5 {
		t.Errorf("outage: %+v", x.Outage)
	}
	if x.Pathless > 0 || x.Switches.Max == 0 {
		t.Errorf("%d without a path, at most %.0f switches", x.Pathless, x.Switches.Max)
	}
}

func TestEveryPairMeetsOnceAndEveryNodeOnceARound(t *testing.T) {
	for _, nodes := range []int{2, 3, 6, 7} {
		list := tournament(nodes)
		if len(list) != nodes*(nodes-1)/2 {
			t.Errorf("%d nodes: %d pairs", nodes, len(list))
		}
		met := make(map[pair]bool)
		for _, round := range turns(list, nodes/2) {
			busy := make(map[int]bool)
			for _, p := range round {
				two := pair{min(p.a, p.b), max(p.a, p.b)}
				if met[two] || busy[p.a] || busy[p.b] || p.a == p.b {
					t.Errorf("%d nodes: %v in %v", nodes, p, list)
				}
				met[two], busy[p.a], busy[p.b] = true, true, true
			}
		}
	}
}

func TestPricesGrowWithTheWay(t *testing.T) {
	for _, a := range pathselect.All() {
		name, price := a.Name(), priceOf(a)
		for relays := range matrix.MaxRelays {
			short, long := price(10*time.Millisecond, relays), price(20*time.Millisecond, relays)
			if short >= long || short > price(10*time.Millisecond, relays+1) {
				t.Errorf("%s: %d relays for %g and %g", name, relays, short, long)
			}
		}
	}
}

func TestStudiesInTheRepositoryAreRight(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scripts, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		s, err := Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := s.matrices(); err != nil && !errors.Is(err, os.ErrNotExist) { // the whole data set is not here
			t.Errorf("%s: %v", file, err)
		}
		text, err := os.ReadFile(file)
		if err != nil || !Is(text) {
			t.Errorf("%s is not seen to be a study: %v", file, err)
		}
	}
	if Is([]byte("sites: {}\n")) {
		t.Error("a scenario is taken for a study")
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	const right = "matrix: {file: a, hold: 1m}\npairs: all\n"
	if _, err := parse([]byte(right)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"pairs: all\nmatrix: {hold: 1m}\n":                           "needs a file",
		"matrix: {file: a, hold: 1m}\n":                              "pairs are missing",
		"matrix: {file: a}\npairs: all\n":                            "active",
		"matrix: {file: a, hold: 1m}\npairs: some\n":                 "pairs are all",
		"matrix: {file: a, hold: 1m, slices: [1]}\npairs: all\n":     "%d",
		right + "algorithms: [magic]\n":                              `unknown path-selection algorithm "magic": use balanced, `,
		right + "colour: red\n":                                      "colour",
		right + "jitter: 5\n":                                        "not a share",
		right + "select: {margin: 5%}\n":                             "not a time such as 3ms; a part of the cost is the ratio",
		right + "select: {min_gain: 1ms}\n":                          "min_gain is now margin, and what was margin is ratio",
		right + "select: {hold_min: 1s}\n":                           "hold_min is now hold",
		right + "data: 1m\n":                                         "data",
		right + "active: 1ms\n":                                      "active",
		right + "faults: [{at: 1s, cut: [1]}]\n":                     "no pair",
		right + "faults: [{at: 1s, cut: [1, 2], restore: [1, 2]}]\n": "one of",
		right + "faults: [{at: 1s, lossy: [1, 2]}]\n":                "loss",
	} {
		if _, err := parse([]byte(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func TestNodesThatAreNotThereAreRefused(t *testing.T) {
	s, err := parse([]byte("matrix: {file: " + slice1 + ", nodes: 10, hold: 1m}\npairs: {source: 11}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.matrices(); !errors.Is(err, ErrInvalid) {
		t.Errorf("node 11 of 10: %v", err)
	}
}

func TestPlotsAreDrawn(t *testing.T) {
	dir := t.TempDir()
	r := Report{Study: "x", Results: []Result{{Algorithm: "balanced", CDF: []float64{0, 0.1}, Series: []Point{{1, 0.2, 0.3}}}}}
	if err := r.Plot(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x-regret.svg", "x-time.svg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(b, []byte("balanced")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuantilesAreValuesThatOccurred(t *testing.T) {
	if s := summarize([]float64{4, 1, 3, 2}); s.Median != 2 || s.P95 != 4 || s.Max != 4 {
		t.Errorf("%+v", s)
	}
	if s := summarize(nil); s != (Summary{}) {
		t.Errorf("of nothing: %+v", s)
	}
}
