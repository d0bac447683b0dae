package matrix

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var cut = flag.String("cut", "", "cut testdata anew from the data set in this `directory`")

// The cut: with this seed, so many of the 490 nodes, of these slices.
const (
	cutSeed   = 1
	cutNodes  = 100
	cutSlices = 4
)

func slice(i int) string { return filepath.Join("testdata", fmt.Sprintf("rtt-%d.txt.gz", i)) }

func TestCutOfThePlanetLabData(t *testing.T) {
	for i := 1; i <= cutSlices; i++ {
		if *cut != "" {
			cutSlice(t, i)
		}
		m, err := Load(slice(i))
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != cutNodes {
			t.Errorf("slice %d has %d nodes", i, m.Len())
		}
	}
}

func cutSlice(t *testing.T, i int) {
	whole, err := Load(filepath.Join(*cut, fmt.Sprintf("rtt-%d.txt.gz", i)))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err := whole.Sub(Choose(cutSeed, whole.Len(), cutNodes)).Write(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := os.WriteFile(slice(i), packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	m := random(3, 7)
	var text bytes.Buffer
	if err := m.Write(&text); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.rtt, again.rtt) {
		t.Errorf("read %v, written were %v", again.rtt, m.rtt)
	}
}

func TestDirectionsThatDifferAreEvenedOut(t *testing.T) {
	m, err := Read(strings.NewReader("0 10\n20 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.RTT(0, 1) != 15*time.Millisecond || m.RTT(1, 0) != m.RTT(0, 1) {
		t.Errorf("%v there, %v back", m.RTT(0, 1), m.RTT(1, 0))
	}
}

func TestWhatIsNoMatrixIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "0\n", "0 1\n", "0 1\n1\n", "0 x\n1 0\n", "0 -1\n-1 0\n", "1 1\n1 0\n", "0 0\n0 0\n", "0 1e9\n1e9 0\n",
		"0 NaN\nNaN 0\n", "\x1f\x8b broken",
	} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestChoiceFollowsTheSeed(t *testing.T) {
	a, b, other := Choose(1, 490, 100), Choose(1, 490, 100), Choose(2, 490, 100)
	if !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Error("the choice does not follow from the seed")
	}
	if len(slices.Compact(a)) != 100 || !slices.IsSorted(a) || a[0] < 0 || a[99] >= 490 {
		t.Errorf("chosen: %v", a)
	}
}

// random is a matrix without the triangle inequality: relays pay.
func random(seed uint64, nodes int) *Matrix {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := &Matrix{n: nodes, rtt: make([]time.Duration, nodes*nodes)}
	for a := range nodes {
		for b := range a {
			rtt := time.Duration(1+rng.IntN(200)) * time.Millisecond
			m.rtt[a*nodes+b], m.rtt[b*nodes+a] = rtt, rtt
		}
	}
	return m
}

func balanced(rtt time.Duration, relays int) float64 {
	return float64(rtt)/float64(time.Millisecond) + 2*float64(relays)
}

// The oracle is as good as a search through all paths of up to two relays.
func TestOracleKnowsTheCheapestPath(t *testing.T) {
	for seed := range uint64(5) {
		m := random(seed, 12)
		o := NewOracle(m, balanced)
		for a := range m.n {
			for b := range m.n {
				if a == b {
					continue
				}
				want := o.Cost(a, nil, b)
				for x := range m.n {
					for y := range m.n {
						if x == a || x == b || y == a || y == b {
							continue
						}
						want = min(want, o.Cost(a, []int{x}, b))
						if x != y {
							want = min(want, o.Cost(a, []int{x, y}, b))
						}
					}
				}
				best := o.Best(a, b)
				if best.Cost != want || o.Cost(a, best.Via, b) != want || o.Regret(a, best.Via, b) != 0 {
					t.Fatalf("seed %d, %d to %d: via %v for %g, want %g", seed, a, b, best.Via, best.Cost, want)
				}
			}
		}
	}
}

// A price for relays keeps paths short; without one more are used.
func TestOracleFollowsThePrice(t *testing.T) {
	m, err := Load(slice(1))
	if err != nil {
		t.Fatal(err)
	}
	relays := func(price Price) (n int) {
		o := NewOracle(m, price)
		for a := range m.n {
			for b := range a {
				n += len(o.Best(a, b).Via)
			}
		}
		return n
	}
	free := relays(func(rtt time.Duration, _ int) float64 { return balanced(rtt, 0) })
	priced := relays(balanced)
	dear := relays(func(rtt time.Duration, n int) float64 { return balanced(rtt, 0) + 1e6*float64(n) })
	if free <= priced || priced == 0 || dear != 0 {
		t.Errorf("relays used: %d for nothing, %d at 2 ms each, %d at 1000 s", free, priced, dear)
	}
}

func BenchmarkOracle(b *testing.B) {
	m := random(1, 490)
	for b.Loop() {
		NewOracle(m, balanced)
	}
}
