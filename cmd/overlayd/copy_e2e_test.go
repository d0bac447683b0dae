package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// warns holds what a node says of another one, or of itself, against words that must be in it.
func (d *service) warns(of string, words ...string) error {
	text := d.paths()[of].Warning
	if of == d.name {
		text = strings.Join(d.status().Warnings, "; ")
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			return fmt.Errorf("%s says of %s %q, without %q", d.name, of, text, word)
		}
	}
	return nil
}

// A copy of a state directory is started on another host. Every node names both addresses; and when the copy has ended, the
// node has its peers back by itself.
func TestACopyOfAStateDirectoryIsNamedAndSurvived(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	boston, others := sites[2], sites[:2]
	copied := r.site("boston-copy")
	copied.name = "boston"
	for _, s := range []*site{boston, copied} {
		s.tolerates = `(?m)^.*(with the keys of this node|has heard a later run of this node).*$`
	}
	for _, s := range others {
		s.tolerates = `(?m)^.*two hosts run with the keys of boston.*$`
	}
	ears := []*ear{others[0].ear(), others[1].ear()}
	for _, s := range others {
		boston.drum(s.ipv4())
	}
	for _, e := range ears {
		e.hears(boston.bench, boston.ipv4(), readyPatience)
	}
	r.must(os.RemoveAll(copied.state))
	r.must(os.CopyFS(copied.state, os.DirFS(boston.state)))
	begin := time.Now()
	copied.start()
	both := []string{boston.endpoint(), copied.endpoint()}
	r.eventually(10*time.Second, func() error { // 5 s of it, where the machine does nothing else
		var errs []error
		for _, s := range append([]*site{boston}, others...) {
			errs = append(errs, s.warns("boston", both...))
		}
		return errors.Join(errs...)
	})
	t.Logf("all name both addresses %v after the copy was started", time.Since(begin))
	r.says(others[0].does("members"), both...)
	r.says(others[0].does("paths"), both...)
	r.says(boston.does("status"), both...)
	r.must(others[1].logs("two hosts run with the keys of boston", both[0], both[1]))
	copied.process.Kill()
	for _, e := range ears {
		took := e.hears(boston.bench, boston.ipv4(), 10*time.Second)
		t.Logf("heard again %v after the copy ended", took)
	}
	r.eventually(5*time.Second, func() error {
		return errors.Join(others[0].reaches("boston"), others[1].reaches("boston"), boston.reaches("belmont"))
	})
}
