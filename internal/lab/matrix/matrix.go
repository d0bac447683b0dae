// Package matrix reads tables of round-trip times between real nodes, and knows the best paths in them: what an algorithm
// that measures its way through such a network is held against.
package matrix

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrFormat marks what is no table of round-trip times.
var ErrFormat = errors.New("not a matrix of round-trip times")

// maxNodes bounds a matrix: an oracle takes the cube of it.
const maxNodes = 4096

// Matrix is the round-trip time from each node to each other one. It is not changed once it is made.
type Matrix struct {
	n   int
	rtt []time.Duration // row by row
}

// Load reads the file at path, see Read.
func Load(path string) (*Matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Read reads a matrix in the format of the PlanetLab data set: a line for each node, in it a figure in milliseconds for
// each node, and zero for the node itself. It may be compressed by gzip.
//
// A link has one delay for both directions in the simulator, so the two directions of a pair are made equal by their mean.
func Read(r io.Reader) (*Matrix, error) {
	buffered := bufio.NewReader(r)
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		buffered = bufio.NewReader(unpacked)
	}
	var rows [][]time.Duration
	lines := bufio.NewScanner(buffered)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(rows) == maxNodes {
			return nil, fmt.Errorf("%w: more than %d lines", ErrFormat, maxNodes)
		}
		row, err := parseRow(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, len(rows)+1, err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return square(rows)
}

func parseRow(line string) ([]time.Duration, error) {
	words := strings.Fields(line)
	row := make([]time.Duration, 0, len(words))
	for _, word := range words {
		ms, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		if ms < 0 || ms > 1e6 || math.IsNaN(ms) {
			return nil, fmt.Errorf("%s ms between two nodes", word)
		}
		row = append(row, time.Duration(ms*float64(time.Millisecond)))
	}
	return row, nil
}

// square holds that the rows are a matrix, and makes it symmetric.
func square(rows [][]time.Duration) (*Matrix, error) {
	m := &Matrix{n: len(rows), rtt: make([]time.Duration, len(rows)*len(rows))}
	if m.n < 2 {
		return nil, fmt.Errorf("%w: %d lines", ErrFormat, m.n)
	}
	for i, row := range rows {
		if len(row) != m.n {
			return nil, fmt.Errorf("%w: line %d of %d has %d figures", ErrFormat, i+1, m.n, len(row))
		}
	}
	for i, row := range rows {
		for j := range row {
			mean := (row[j] + rows[j][i]) / 2
			if (mean == 0) != (i == j) {
				return nil, fmt.Errorf("%w: line %d, figure %d: %v between two nodes", ErrFormat, i+1, j+1, mean)
			}
			m.rtt[i*m.n+j] = mean
		}
	}
	return m, nil
}

// Len is the number of nodes.
func (m *Matrix) Len() int { return m.n }

// RTT is the round-trip time between two nodes, zero from a node to itself.
func (m *Matrix) RTT(a, b int) time.Duration { return m.rtt[a*m.n+b] }

// Along is the round-trip time from a through others to b.
func (m *Matrix) Along(a int, via []int, b int) (rtt time.Duration) {
	for _, x := range via {
		rtt += m.RTT(a, x)
		a = x
	}
	return rtt + m.RTT(a, b)
}

func (m *Matrix) row(a int) []time.Duration { return m.rtt[a*m.n : (a+1)*m.n] }

// Sub is the matrix of some of the nodes, in the order given.
func (m *Matrix) Sub(nodes []int) *Matrix {
	s := &Matrix{n: len(nodes), rtt: make([]time.Duration, 0, len(nodes)*len(nodes))}
	for _, a := range nodes {
		for _, b := range nodes {
			s.rtt = append(s.rtt, m.RTT(a, b))
		}
	}
	return s
}

// Write writes a matrix in the format that Read takes.
func (m *Matrix) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for a := range m.n {
		for b, rtt := range m.row(a) {
			if b > 0 {
				out.WriteByte('\t')
			}
			out.WriteString(strconv.FormatFloat(float64(rtt)/float64(time.Millisecond), 'f', -1, 64))
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// Choose picks some of so many nodes at random, the same for the same seed, in ascending order.
func Choose(seed uint64, from, count int) []int {
	chosen := rand.New(rand.NewPCG(seed, 0)).Perm(from)[:min(count, from)]
	slices.Sort(chosen)
	return chosen
}
