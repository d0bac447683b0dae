package pathselect

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const guide = "../docs/algorithms.md"

// example is the name of the algorithm that the guide shows how to write.
const example = "steady"

func TestDocumentsNameOnlyRegisteredAlgorithms(t *testing.T) {
	files := []string{"../README.md"}
	for _, pattern := range []string{"../docs/*.md", "../scripts/*.yaml", "../scripts/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	named := regexp.MustCompile(`algorithms: \[([a-z, -]*)\]|\balgorithm: ([a-z-]+)|route algorithm ([a-z-]+)|(?:bulk|interactive|critical)=([a-z-]+)`)
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			for name := range strings.SplitSeq(m[1]+m[2]+m[3]+m[4], ",") {
				name = strings.TrimSpace(name)
				count++
				if _, err := Lookup(name); err != nil && name != example && !strings.HasPrefix(name, "-") {
					t.Errorf("%s: %q: %v", file, m[0], err)
				}
			}
		}
	}
	if count < 8 {
		t.Errorf("only %d names were found in %d files", count, len(files))
	}
}

// TestTheGuideIsLiterallyTrue adds the algorithm of the guide as the guide says, one file and one line, in an overlay of the
// file system that only the compiler sees, and runs the tests of the packages that must know it then.
func TestTheGuideIsLiterallyTrue(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles packages")
	}
	if _, err := Lookup(example); err == nil {
		t.Skip("it was added")
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 || !strings.HasPrefix(blocks[0][1], "package pathselect\n") {
		t.Fatalf("%s has %d blocks of Go: one is a file, the other a line", guide, len(blocks))
	}
	registry, err := os.ReadFile("registry.go")
	if err != nil {
		t.Fatal(err)
	}
	const end = "\t}\n}\n\n// Default is"
	if strings.Count(string(registry), end) != 1 {
		t.Fatal("registry.go has no list that ends where this test looks for it")
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	for name, content := range map[string]string{
		"steady.go":   blocks[0][1],
		"registry.go": strings.Replace(string(registry), end, blocks[1][1]+end, 1),
	} {
		real, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[real] = filepath.Join(dir, name)
		write(t, replace[real], []byte(content))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), overlay)
	cmd := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-short", "-v", "./pathselect", "./config")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, passed := range []string{"TestEveryAlgorithm/" + example, "TestEveryAlgorithmCanBeConfigured/" + example} {
		if !strings.Contains(string(out), "--- PASS: "+passed) {
			t.Errorf("%s did not pass:\n%s", passed, out)
		}
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
