package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
)

// outWithin is how soon a verdict is in force where its nodes can be reached.
const outWithin = 2 * time.Second

// isTold says whether a node has a conflict that has these words in it.
func (d *service) isTold(words ...string) error {
	d.Helper()
	all := strings.Join(d.status().Conflicts, "; ")
	for _, word := range words {
		if !strings.Contains(all, word) {
			return fmt.Errorf("%s is not told of %q: %q", d.name, word, all)
		}
	}
	return nil
}

// Whom an admin puts out is out everywhere within a moment, and comes back when the root says so.
func TestARevokedNodeIsOutAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	ear, from := cambridge.isHeardBy(boston, readyPatience), cambridge.ipv4()

	r.refused(boston.ctl("revoke", "cambridge"), "no admin", "overlayctl members")
	r.refused(boston.ctl("reinstate", "cambridge"), "root")
	r.refused(belmont.ctl("reinstate", "cambridge"), "not revoked")
	r.refused(belmont.ctl("revoke", "atlantis"), "atlantis", "overlayctl members")
	r.refused(belmont.ctl("revoke", "belmont"), "overlayctl leave")

	begin := time.Now()
	r.says(belmont.does("revoke", "cambridge"), "cambridge", "root", "overlayctl reinstate cambridge")
	r.eventually(outWithin-time.Since(begin), func() error {
		return errors.Join(boston.lists("belmont", "boston"), boston.holdsOut("cambridge"))
	})
	listed := time.Since(begin)
	last := ear.goesQuiet(r.bench, from, outWithin-time.Since(begin))
	if last.Sub(begin) > outWithin {
		t.Errorf("cambridge was heard until %v after it was put out", last.Sub(begin))
	}
	t.Logf("the command returned and boston knew within %v; the last datagram of cambridge came after %v",
		listed, last.Sub(begin))
	r.eventually(outWithin, func() error { return cambridge.isTold("revoked", "root") })
	r.says(cambridge.does("status"), "revoked by root")
	r.says(boston.does("revoked"), "cambridge", "revoked", "root")
	if text := boston.does("members"); strings.Contains(text, "cambridge") {
		t.Errorf("boston still lists cambridge: %s", text)
	}
	r.refused(belmont.ctl("revoke", "cambridge"), "already")
	r.refused(boston.ctl("ping", "cambridge"), "cambridge")

	heard := ear.of(from).n
	begin = time.Now()
	r.says(belmont.does("reinstate", "cambridge"), "cambridge", "member again")
	ear.hears(r.bench, from, backWithin)
	t.Logf("%v after it was taken back cambridge was heard again", time.Since(begin))
	if heard == ear.of(from).n {
		t.Error("nothing came")
	}
	r.eventually(backWithin, func() error {
		return errors.Join(
			boston.lists("belmont", "boston", "cambridge"), boston.holdsOut(),
			cambridge.lists("belmont", "boston", "cambridge"), cambridge.holdsOut(),
		)
	})
	if told := cambridge.status().Conflicts; len(told) > 0 {
		t.Errorf("cambridge is told %q", told)
	}
}

// backWithin is how soon a node that was taken back is spoken to.
const backWithin = 10 * time.Second

// A relay that is put out carries nothing any more: data goes on through another one.
func TestARelayThatIsPutOutCarriesNothing(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston", "cambridge", "newton")
	belmont, boston := sites[0], sites[1]
	ear, from := belmont.isHeardBy(boston, readyPatience), belmont.ipv4()
	r.cut([]*site{belmont}, []*site{boston})
	relays := map[string]string{"cambridge": "newton", "newton": "cambridge"}
	var used string
	r.eventually(readyPatience, func() error {
		p := belmont.paths()["boston"]
		if p.Selected == nil || len(p.Selected.Via) != 1 || p.State != control.StateUp {
			return fmt.Errorf("belmont reaches boston by %+v, %s", p.Selected, p.State)
		}
		used = p.Selected.Via[0]
		return nil
	})
	ear.hears(r.bench, from, readyPatience)

	begin := time.Now()
	belmont.does("revoke", used)
	r.eventually(outWithin, func() error {
		var errs []error
		for _, s := range []*site{belmont, boston} {
			for _, p := range s.paths() {
				for _, c := range p.Candidates {
					if p.Peer == used || slices.Contains(c.Via, used) {
						errs = append(errs, fmt.Errorf("%s has a path to %s through %v", s.name, p.Peer, c.Via))
					}
				}
			}
		}
		return errors.Join(append(errs, belmont.reaches("boston", relays[used]), boston.holdsOut(used))...)
	})
	moved := time.Since(begin)
	t.Logf("%s is out; data goes through %s after %v, and arrives after %v more",
		used, relays[used], moved, ear.hears(r.bench, from, outWithin))
}
