package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	security = root + "/docs/security.md"
	bounds   = "<!-- bounds: read by internal/layout -->"
)

var (
	inCode   = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`Test[A-Z]\w*`)
)

// Every bound names where it stands and the tests that hold it; both exist.
func TestEveryBoundNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(security)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), bounds)
	if !found {
		t.Fatalf("%s has no table after %q", security, bounds)
	}
	tests := 0
	for line := range strings.Lines(strings.TrimLeft(table, "\n")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 5 {
			break // the table ends
		}
		what := strings.TrimSpace(cells[0])
		for _, where := range inCode.FindAllStringSubmatch(cells[3], -1) {
			if _, err := os.Stat(filepath.Join(root, where[1])); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		for part := range strings.SplitSeq(cells[4], ";") {
			dir := inCode.FindStringSubmatch(part)
			for _, name := range testName.FindAllString(part, -1) {
				tests++
				if dir == nil || !hasTest(t, dir[1], name) {
					t.Errorf("%s: no test %s", what, strings.TrimSpace(part))
				}
			}
		}
	}
	if tests < 20 {
		t.Errorf("%d tests are named: the table is not read as it should be", tests)
	}
}

// hasTest reports whether a package has a test or a fuzz target of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t ") {
			return true
		}
	}
	return false
}
