package main

import (
	"errors"
	"testing"
	"time"
)

// Who was off while a member was put out hears nothing of it, although that member still runs, knows where to find it and
// is the first to call.
func TestANodeThatWasOffHearsNothingOfWhoWasPutOut(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	belmont.drum(boston.ipv4())
	ear, from := cambridge.isHeardBy(boston, readyPatience), cambridge.ipv4()
	other := belmont.ipv4()

	boston.stop()
	// Cambridge does not hear of its own revocation either: it goes on to call boston, as somebody would who means harm.
	r.cut([]*site{belmont}, []*site{cambridge})
	belmont.does("revoke", "cambridge")
	heard := ear.of(from).n

	begin := time.Now()
	boston.start()
	up := time.Since(begin)
	ear.hears(r.bench, other, upWithin-up)
	t.Logf("boston answered after %v, and heard belmont after %v", up, time.Since(begin))
	r.eventually(outWithin, func() error {
		return errors.Join(boston.lists("belmont", "boston"), boston.holdsOut("cambridge"))
	})
	ear.goesQuiet(r.bench, from, quietFor)
	if n := ear.of(from).n - heard; n > 0 {
		t.Errorf("boston heard %d datagrams of cambridge, which was put out while boston was off", n)
	}
}

// upWithin is how soon a node that starts again is at work.
const upWithin = 3 * time.Second

// Alone with a member that was put out, a node trusts what it knows, after a while: a part of a network goes on working.
// Once the others come, that is over.
func TestANodeAloneWithWhoWasPutOutTrustsItUntilTheOthersCome(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	ear, from := cambridge.isHeardBy(boston, readyPatience), cambridge.ipv4()

	boston.stop()
	r.cut([]*site{belmont}, []*site{cambridge, boston})
	belmont.does("revoke", "cambridge")
	heard := ear.of(from).n
	begin := time.Now()
	boston.start()
	ear.hears(r.bench, from, readyPatience)
	t.Logf("alone with cambridge, which was put out, boston hears it after %v", time.Since(begin))
	if time.Since(begin) < time.Second {
		t.Errorf("boston trusted cambridge at once: %d datagrams", ear.of(from).n-heard)
	}

	begin = time.Now()
	r.must(r.router.Unblock())
	r.eventually(meetWithin, func() error { return boston.holdsOut("cambridge") })
	told := time.Now()
	last := ear.goesQuiet(r.bench, from, outWithin)
	t.Logf("%v after belmont can be reached boston knows, and hears cambridge for %v more", told.Sub(begin), last.Sub(told))
	if last.Sub(told) > outWithin {
		t.Errorf("cambridge was heard for %v after boston knew", last.Sub(told))
	}
}

// meetWithin is how soon two nodes that can reach each other again find that out.
const meetWithin = 30 * time.Second
