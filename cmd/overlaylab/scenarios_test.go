package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"overlayd/internal/lab"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/virtual"
)

// TestScenarios runs the short form of every shipped scenario with real daemons. With OVERLAY_LAB_BIN it uses the
// programs in that directory; otherwise it builds them.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("the scenarios take minutes, and this is a short run of the tests")
	}
	if os.Geteuid() != 0 {
		t.Skip("the scenarios run in network namespaces, which needs root: they are left out")
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skipf("the scenarios need TUN devices, and there are none here (%v): they are left out", err)
	} else {
		f.Close()
	}
	bin := programs(t)
	for _, s := range shipped(t, true) {
		t.Run(s.Name, func(t *testing.T) { runScenario(t, s, bin) })
	}
}

// shipped are the shipped scenarios.
func shipped(t *testing.T, short bool) []*scenario.Scenario {
	t.Helper()
	files, err := filepath.Glob("../../scripts/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	all, err := loadAll(files, short)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unsimulated are the shipped scenarios of which a simulation cannot tell everything, with what it leaves out.
var unsimulated = map[string]int{"privacy": 2, "two-sites": 5}

// TestScenariosInSimulation runs the short forms of the shipped scenarios in simulation, from some seeds.
func TestScenariosInSimulation(t *testing.T) {
	for _, s := range shipped(t, true) {
		t.Run(s.Name, func(t *testing.T) { simulateScenario(t, s, virtual.Options{Short: true, Repeat: 5}) })
	}
}

// TestWholeScenariosInSimulation runs them as they are.
func TestWholeScenariosInSimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole scenarios take seconds of computing, and this is a short run of the tests")
	}
	for _, s := range shipped(t, false) {
		if s.Name != "soak" { // two million segments, for nothing that the short form does not have
			t.Run(s.Name, func(t *testing.T) { simulateScenario(t, s, virtual.Options{}) })
		}
	}
}

func simulateScenario(t *testing.T, s *scenario.Scenario, o virtual.Options) {
	var out bytes.Buffer
	o.Out = &out
	report, err := virtual.Run(t.Context(), s, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	report.Print(&out)
	if report.Failed() {
		t.Errorf("\n%s", &out)
	}
	if left := len(report.LeftOut); left != unsimulated[s.Name] {
		t.Errorf("%d expectations are left out, want %d: %v", left, unsimulated[s.Name], report.LeftOut)
	}
}

// agreeing are the scenarios whose real runs are compared with their simulation.
var agreeing = []string{"boston", "one-way", "lossy", "tokyo", "relay-dies", "chain", "flapping", "saturated"}

// runScenario runs one scenario; one that fails tells what happened.
func runScenario(t *testing.T, s *scenario.Scenario, bin string) {
	var out bytes.Buffer
	report, err := lab.Run(t.Context(), s, lab.Options{Bin: bin, Short: true, Logs: t.TempDir(), Out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	report.Print(&out)
	if slices.Contains(agreeing, s.Name) {
		agree(t, s, report, bin)
	}
	switch {
	case !report.Pass:
		t.Errorf("\n%s", &out)
	case testing.Verbose():
		t.Logf("\n%s", &out)
	}
}

// agree compares a real run with the simulation. If it differs, the machine may have been busy: then the median of three
// real runs counts.
func agree(t *testing.T, s *scenario.Scenario, real judge.Report, bin string) {
	simulated, err := virtual.Run(t.Context(), s, virtual.Options{Short: true, Repeat: agreeAtLeast})
	if err != nil {
		t.Fatal(err)
	}
	a := judge.Compare(s, simulated, real)
	if !a.Agree {
		real, err = lab.Run(t.Context(), s, lab.Options{Bin: bin, Short: true, Logs: t.TempDir(), Repeat: 3})
		if err != nil {
			t.Fatal(err)
		}
		a = judge.Compare(s, simulated, real)
	}
	var out bytes.Buffer
	a.Print(&out)
	switch {
	case a.Agree:
		t.Logf("\n%s", &out)
	case a.Busy():
		t.Logf("the simulation and the real runs differ, but the machine was too busy to tell:\n%s", &out)
	default:
		t.Errorf("the simulation and the real runs differ:\n%s", &out)
	}
}

// programs is a directory with overlayd and overlayctl.
func programs(t *testing.T) string {
	if dir := os.Getenv("OVERLAY_LAB_BIN"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	for _, name := range []string{"overlayd", "overlayctl"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "overlayd/cmd/"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}
