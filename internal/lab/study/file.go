package study

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"overlayd/internal/lab/matrix"
	"overlayd/pathselect"
)

// ErrInvalid marks every error that says that a study file is not right.
var ErrInvalid = errors.New("invalid study")

// maxFile bounds a study file, in bytes.
const maxFile = 1 << 20

// Study is an experiment.
type Study struct {
	Name        string        `yaml:"name"`
	Description string        `yaml:"description"`
	Matrix      Underlay      `yaml:"matrix"`
	Pairs       Pairs         `yaml:"pairs"`
	Active      time.Duration `yaml:"active"`   // how long a pair has data at a time; zero: all along
	Together    int           `yaml:"together"` // pairs that have data at the same time
	Settle      time.Duration `yaml:"settle"`   // before the first pair has
	Data        time.Duration `yaml:"data"`     // between two packets, each way
	Jitter      Share         `yaml:"jitter"`   // of the delay at most, added to it
	Seed        uint64        `yaml:"seed"`
	Algorithms  []string      `yaml:"algorithms"`
	Select      Select        `yaml:"select"`
	Faults      []Fault       `yaml:"faults"`

	dir string // that files are relative to
}

// Underlay is where the round-trip times come from.
type Underlay struct {
	File   string        `yaml:"file"`   // with %d where the number of the slice belongs
	Nodes  int           `yaml:"nodes"`  // of those in the file, chosen by the seed; zero: all
	Seed   uint64        `yaml:"seed"`   // of the choice
	Slices []int         `yaml:"slices"` // one after the other
	Hold   time.Duration `yaml:"hold"`   // how long each of them lasts at least
}

// Pairs are the pairs of nodes that have data: all, those of one node, or a sample.
type Pairs struct {
	All    bool
	Source int // 1 is the first node
	Sample int
}

// Select is what a study may set of the Selector, by the keys of a node's configuration. Zero is the default.
type Select struct {
	Hold   time.Duration `yaml:"hold"`
	Margin Margin        `yaml:"margin"`
	Ratio  Share         `yaml:"ratio"`
}

func (s Select) config() pathselect.Config {
	return pathselect.Config{HoldMin: s.Hold, Margin: time.Duration(s.Margin), Ratio: float64(s.Ratio)}
}

// Margin is a time by which a path is better.
type Margin time.Duration

// UnmarshalYAML reads a time.
func (m *Margin) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 {
		return fmt.Errorf("line %d: margin %q is not a time such as 3ms; a part of the cost is the ratio", n.Line, n.Value)
	}
	*m = Margin(d)
	return nil
}

// renamed says what took the place of keys that studies had.
var renamed = map[string]string{
	"min_gain": "margin, and what was margin is ratio", "hold_min": "hold", "hold_max": "hold, to which the Selector adds up to a half",
}

// hint adds to an error what took the place of the key that it is about.
func hint(err error) error {
	for key, now := range renamed {
		if strings.Contains(err.Error(), "field "+key+" not found") {
			return fmt.Errorf("%w; %s is now %s, as in a node's configuration", err, key, now)
		}
	}
	return err
}

// Fault is something that happens to the link between two nodes, counted from the first slice.
type Fault struct {
	At      time.Duration `yaml:"at"`
	Cut     []int         `yaml:"cut"`
	Restore []int         `yaml:"restore"` // neither cut nor lossy
	Lossy   []int         `yaml:"lossy"`
	Loss    Share         `yaml:"loss"`
}

func (f *Fault) pair() []int { return slices.Concat(f.Cut, f.Restore, f.Lossy) }

// Share is a part of something, 0 to 1, written as such or as a percentage.
type Share float64

// UnmarshalYAML reads a percentage, or a number from 0 to 1.
func (s *Share) UnmarshalYAML(n *yaml.Node) error {
	number, percent := strings.CutSuffix(n.Value, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("line %d: %q is not a share such as 5%% or 0.05", n.Line, n.Value)
	}
	*s = Share(v)
	return nil
}

// UnmarshalYAML reads "all" or a mapping.
func (p *Pairs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		p.All = true
		return nil
	}
	var some map[string]int
	if err := n.Decode(&some); err != nil || len(some) != 1 || some["source"]+some["sample"] <= 0 {
		return fmt.Errorf("line %d: pairs are all, {source: NODE} or {sample: COUNT}", n.Line)
	}
	p.Source, p.Sample = some["source"], some["sample"]
	return nil
}

// Is reports whether a file is a study: it has a matrix.
func Is(file []byte) bool {
	var top map[string]yaml.Node
	found := false
	if yaml.Unmarshal(file, &top) == nil {
		_, found = top["matrix"]
	}
	return found
}

// Load reads a study file.
func Load(path string) (*Study, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the study: %w", err)
	}
	s, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.dir = filepath.Dir(path)
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	return s, nil
}

func parse(b []byte) (*Study, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxFile)
	}
	s := &Study{
		Together: 50, Settle: 3 * time.Minute, Data: 2 * time.Second, Jitter: 0.02, Seed: 1,
		Algorithms: []string{pathselect.Default().Name()},
	}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, hint(err))
	}
	return s, s.check()
}

// leastTurn is the least time for a pair to have data.
const leastTurn = 5 * time.Second

// check finds what cannot be run.
func (s *Study) check() error {
	var errs []error
	need := func(holds bool, format string, args ...any) {
		if !holds {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
		}
	}
	need(s.Matrix.File != "", "matrix needs a file")
	need(s.Matrix.Nodes >= 0 && s.Matrix.Nodes != 1, "matrix with %d nodes", s.Matrix.Nodes)
	need(s.Pairs != Pairs{}, "pairs are missing: all, {source: NODE} or {sample: COUNT}")
	need(max(s.Active, s.Matrix.Hold) >= leastTurn, "active, or hold of the matrix, must be %v at least", leastTurn)
	need(s.Active == 0 || s.Active >= leastTurn, "active must be %v at least", leastTurn)
	need(s.Together > 0, "together is %d pairs", s.Together)
	need(s.Data > 0 && s.Data <= leastTurn, "data must be sent every %v or more often, or its pair is not active", leastTurn)
	need(s.Settle >= 0, "settle is %v", s.Settle)
	need(len(s.Matrix.Slices) == 0 || strings.Count(s.Matrix.File, "%d") == 1,
		"the file of a matrix with slices has a %%d for the number of the slice")
	need(len(s.Algorithms) > 0, "algorithms are missing")
	for _, name := range s.Algorithms {
		_, err := pathselect.Lookup(name)
		need(err == nil, "%w", err)
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		kinds := 0
		for _, pair := range [][]int{f.Cut, f.Restore, f.Lossy} {
			if len(pair) > 0 {
				kinds++
				need(len(pair) == 2 && pair[0] != pair[1] && pair[0] > 0 && pair[1] > 0, "fault %d: %v is no pair of nodes", i+1, pair)
			}
		}
		need(kinds == 1, "fault %d is one of cut, restore, lossy", i+1)
		need(f.At >= 0 && (len(f.Lossy) == 0) == (f.Loss == 0), "fault %d: at %v, loss %g", i+1, f.At, float64(f.Loss))
	}
	return errors.Join(errs...)
}

// matrices loads the slices: the nodes are the same in each.
func (s *Study) matrices() ([]*matrix.Matrix, error) {
	files := []string{s.Matrix.File}
	if len(s.Matrix.Slices) > 0 {
		files = nil
		for _, i := range s.Matrix.Slices {
			files = append(files, strings.Replace(s.Matrix.File, "%d", strconv.Itoa(i), 1))
		}
	}
	var list []*matrix.Matrix
	for _, file := range files {
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.dir, file)
		}
		m, err := matrix.Load(file)
		if err != nil {
			return nil, err
		}
		if n := s.Matrix.Nodes; n > 0 && n < m.Len() {
			m = m.Sub(matrix.Choose(s.Matrix.Seed, m.Len(), n))
		}
		if len(list) > 0 && m.Len() != list[0].Len() {
			return nil, fmt.Errorf("%w: %s has %d nodes, the slice before it %d", ErrInvalid, file, m.Len(), list[0].Len())
		}
		list = append(list, m)
	}
	return list, s.fits(list[0].Len())
}

// fits holds that the nodes that the study names exist.
func (s *Study) fits(nodes int) error {
	named := []int{s.Pairs.Source}
	for i := range s.Faults {
		named = append(named, s.Faults[i].pair()...)
	}
	if most := slices.Max(named); most > nodes {
		return fmt.Errorf("%w: node %d of %d", ErrInvalid, most, nodes)
	}
	return nil
}
