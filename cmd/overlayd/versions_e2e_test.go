package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// nextVersion is a directory with an overlayd whose control and join protocols are one version ahead, built once for all tests.
var nextVersion = sync.OnceValues(func() (string, error) {
	bin, err := programs()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(bin, "next")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, number := range map[string]*regexp.Regexp{
		"internal/wire/control.go": regexp.MustCompile(`(?m)^(const Protocol uint8 = )(\d+)$`),
		"internal/join/frame.go":   regexp.MustCompile(`(?m)^(\tversion += )(\d+)$`),
	} {
		from, err := filepath.Abs(filepath.Join("..", "..", file))
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		at := number.FindSubmatch(text)
		if at == nil {
			return "", fmt.Errorf("%s does not say its version as expected", file)
		}
		n, _ := strconv.Atoi(string(at[2]))
		replace[from] = filepath.Join(dir, filepath.Base(file))
		text = number.ReplaceAll(text, fmt.Appendf(nil, "${1}%d", n+1))
		if err := os.WriteFile(replace[from], text, 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", filepath.Join(dir, "overlayd"), "overlayd/cmd/overlayd")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the next version: %w: %s", err, out)
	}
	return dir, nil
})

// Builds that do not understand each other say so on both sides, and whom to upgrade.
func TestBuildsOfDifferentVersionsSayWhomToUpgrade(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	next, err := nextVersion()
	r.must(err)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	for _, s := range sites {
		s.tolerates = `level=ERROR msg="(belmont|boston) runs overlayd `
	}

	newcomer := r.site("newton")
	cmd := newcomer.command("overlayd", "join", belmont.invite(belmont.endpoint()), "--name", newcomer.name, "--state", newcomer.state)
	cmd.Path = filepath.Join(next, "overlayd")
	r.refused(newcomer.here().run(cmd), belmont.endpoint(), "join protocol", "upgrade that member")
	r.must(belmont.logs("a newcomer with the token", "upgrade this node"))

	boston.stop()
	cmd = boston.command("overlayd", boston.flags()...)
	cmd.Path = filepath.Join(next, "overlayd")
	boston.startCommand(cmd)
	for s, words := range map[*site][]string{
		belmont: {"boston runs overlayd", "cannot speak with each other", "upgrade this node"},
		boston:  {"belmont runs overlayd", "cannot speak with each other", "upgrade belmont"},
	} {
		r.eventually(readyPatience, func() error { return s.logs(words...) })
	}
	for _, s := range sites {
		for line := range strings.Lines(s.log()) {
			if strings.Contains(line, "upgrade") {
				t.Logf("%s: %s", s.name, line)
			}
		}
	}
}
