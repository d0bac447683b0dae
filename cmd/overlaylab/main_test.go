package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"overlayd/internal/lab"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestBadUseSaysWhatIsWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("name: bad\nduration: 5s\nsites: {a: {}, b: {colour: red}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"run"}, "requires at least 1 arg"},
		{[]string{"run", "no-such-file.yaml"}, "no such file"},
		{[]string{"run", bad}, `bad.yaml: line 3: a site has no key "colour"`},
		{[]string{"run", "-o", "xml", bad}, "-o is table or json"},
		{[]string{"run", "--keep", "--repeat", "2", bad}, "--keep waits"},
		{[]string{"sim"}, "requires at least 1 arg"},
		{[]string{"sim", "-o", "xml", bad}, "-o is table or json"},
		{[]string{"sim", "--real", "0", bad}, "--real is at least 1"},
		{[]string{"sim", bad}, `bad.yaml: line 3: a site has no key "colour"`},
		{[]string{"bench", "--rounds", "0"}, "--rounds is at least 1"},
	} {
		if _, err := run(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.args, err, test.want)
		}
	}
}

func TestASimulationSaysWhetherItFailedOrLeftSomethingOut(t *testing.T) {
	hopeless := filepath.Join(t.TempDir(), "hopeless.yaml")
	text := "name: hopeless\nduration: 3s\nsites: {a: {}, b: {}}\nlinks: {a -- b: {rtt: 10ms}}\n" +
		"expect: {path: {path: a -> b, is: relayed, at: end}}\n"
	if err := os.WriteFile(hopeless, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file string
		want error
	}{
		{"../../scripts/scenarios/boston.yaml", nil},
		{"../../scripts/scenarios/privacy.yaml", errLeftOut},
		{hopeless, lab.ErrFailed},
	} {
		for _, format := range []string{formatTable, formatJSON} {
			out, err := run(t, "sim", "--short", "-o", format, test.file)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.file, err, test.want)
			}
			if format == formatJSON && !json.Valid([]byte(out)) {
				t.Errorf("%s: this is not JSON: %s", test.file, out)
			}
		}
	}
	if _, err := run(t, "sim", "--short", hopeless, "../../scripts/scenarios/privacy.yaml"); !errors.Is(err, lab.ErrFailed) {
		t.Errorf("a failure beside what is left out: %v", err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("without root it says so first")
	}
	_, err := run(t, "run", "--bin", t.TempDir(), "../../scripts/scenarios/boston.yaml")
	if err == nil || !strings.Contains(err.Error(), "build the programs with `make build`") {
		t.Errorf("got %v", err)
	}
}

func TestChaosPrintsAScenarioThatRuns(t *testing.T) {
	text, err := run(t, "chaos", "--seed", "3", "--print", "--without", "f1,f2,f3,f4,f5,f6,f7,f8,f9,f10,f11,f12,f13,f14,f15,f16")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chaos-3.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "sim", file); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
