// Command testreport runs go test and prints what it prints without -v, and at the end every test that was left out,
// with its reason, which go test keeps to itself. Its arguments are those of go test; its exit status is that of
// go test.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		fail(err)
	}
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	r := newReport(os.Stdout)
	if err := r.read(out); err != nil {
		fail(err)
	}
	err = cmd.Wait()
	r.finish()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "testreport: %v\n", err)
	os.Exit(1)
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// name is a test of a package.
type name struct{ pkg, test string }

// report collects the events of one run.
type report struct {
	out            io.Writer
	said           map[name][]string // output of tests that have not ended
	skipped        map[string][]name // by reason
	passed, failed int
}

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[name][]string{}, skipped: map[string][]name{}}
}

func (r *report) read(in io.Reader) error {
	for d := json.NewDecoder(in); ; {
		var e event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("output of go test -json: %w", err)
		}
		r.add(e)
	}
}

func (r *report) add(e event) {
	n := name{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		r.print(e.Output)
	case e.Test == "" && e.Action == "output":
		if e.Output != "PASS\n" {
			r.print(e.Output)
		}
	case e.Test == "" && e.Action == "fail":
		r.unfinished(e.Package)
	case e.Test == "":
	case e.Action == "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			r.said[n] = append(r.said[n], e.Output)
		}
	case e.Action == "pass":
		r.passed++
		delete(r.said, n)
	case e.Action == "skip":
		reason := reasonOf(r.said[n])
		r.skipped[reason] = append(r.skipped[reason], n)
		delete(r.said, n)
	case e.Action == "fail":
		r.failed++
		r.print(r.said[n]...)
		delete(r.said, n)
	}
}

// unfinished prints what the tests of a package had said when it ended without them, as in a panic.
func (r *report) unfinished(pkg string) {
	var names []name
	for n := range r.said {
		if n.pkg == pkg {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b name) int { return strings.Compare(a.test, b.test) })
	for _, n := range names {
		r.print(r.said[n]...)
		delete(r.said, n)
	}
}

func (r *report) print(lines ...string) {
	for _, l := range lines {
		_, _ = io.WriteString(r.out, l)
	}
}

// reasonOf is the text given to t.Skip, without the place.
func reasonOf(lines []string) string {
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "--- ") {
			continue
		}
		// file_test.go:12: reason
		if place, reason, ok := strings.Cut(l, ": "); ok && strings.Contains(place, ".go:") {
			return reason
		}
	}
	return "no reason given"
}

// finish prints what was left out and the counts.
func (r *report) finish() {
	reasons := make([]string, 0, len(r.skipped))
	count := 0
	for reason, names := range r.skipped {
		reasons = append(reasons, reason)
		count += len(names)
	}
	slices.Sort(reasons)
	if count > 0 {
		r.print("\nleft out:\n")
	}
	for _, reason := range reasons {
		r.print("  " + reason + "\n")
		for _, n := range r.skipped[reason] {
			r.print(fmt.Sprintf("    %s %s\n", n.pkg, n.test))
		}
	}
	r.print(fmt.Sprintf("\n%d tests passed, %d failed, %d left out\n", r.passed, r.failed, count))
}
