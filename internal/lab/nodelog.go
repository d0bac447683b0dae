package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
)

// lastWords is the last line of the log as an error.
func (n *node) lastWords() error {
	lines := n.tail(1)
	if len(lines) == 0 {
		return nil
	}
	return errors.New(lines[0])
}

// tail is the last lines of the log.
func (n *node) tail(lines int) []string {
	const most = 64 << 10
	f, err := os.Open(n.logFile())
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, 2)
	}
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all[max(0, len(all)-lines):]
}

// accidents are the lines of the log that no daemon may ever print.
func (n *node) accidents() []string {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return nil
	}
	var found []string
	for line := range bytes.Lines(b) {
		for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
			if bytes.Contains(line, []byte(sign)) {
				found = append(found, fmt.Sprintf("%s: %s", n.site.name, bytes.TrimSpace(line)))
			}
		}
	}
	return found
}
