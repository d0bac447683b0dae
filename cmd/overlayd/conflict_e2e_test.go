package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
)

// Two admins that do not reach each other let in two nodes of one name. When they do again, the elder keeps the name, the
// other one is told so, and goes on working.
func TestTwoNodesOfOneName(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge")
	belmont, cambridge := sites[0], sites[1]
	belmont.does("admin", "grant", "cambridge")
	r.eventually(soon, func() error { return cambridge.isAdmin(true) })
	elder, younger := r.site("newton"), r.site("newton-too")
	younger.name = "newton"
	r.cut([]*site{belmont, elder}, []*site{cambridge, younger})
	elder.joins(belmont)
	elder.start()
	younger.joins(cambridge)
	younger.start()
	if a, b := elder.status(), younger.status(); a.Node != "newton" || b.Node != "newton" || a.Addresses[0] == b.Addresses[0] {
		t.Fatalf("the nodes are %s %v and %s %v", a.Node, a.Addresses, b.Node, b.Addresses)
	}

	begin := time.Now()
	r.must(r.router.Unblock())
	all := []*site{belmont, cambridge, elder, younger}
	ids := map[string]*site{elder.status().ID: elder, younger.status().ID: younger}
	r.eventually(meetWithin, func() error { // certificates count in seconds, so that either may be the elder
		named := ids[belmont.members()["newton"].ID]
		if named == nil {
			return errors.New("nobody is called newton")
		}
		if named == younger {
			elder, younger = younger, elder
		}
		var errs []error
		for _, s := range all {
			errs = append(errs, s.settled(elder.status().ID, younger.status().ID))
		}
		return errors.Join(errs...)
	})
	t.Logf("all know of the conflict %v after they reach each other: %q", time.Since(begin), younger.status().Conflicts)
	if younger.status().Node == "newton" {
		r.must(younger.isTold("the name newton belongs to"))
		r.says(younger.does("status"), "the name newton belongs to")
	}

	// Both can be talked to, and talk to each other.
	if elder.ipv4() == younger.ipv4() || !younger.ipv4().Is4() {
		t.Fatalf("their addresses are %s and %s", elder.ipv4(), younger.ipv4())
	}
	toElder, toYounger := elder.ear(), younger.ear()
	for _, from := range all {
		if from != elder {
			from.drum(elder.ipv4())
		}
		if from != younger {
			from.drum(younger.ipv4())
		}
	}
	for _, from := range all {
		if from != elder {
			toElder.hears(r.bench, from.ipv4(), backWithin)
		}
		if from != younger {
			toYounger.hears(r.bench, from.ipv4(), backWithin)
		}
	}
}

// settled says whether the daemon lists two nodes that both wanted the name newton: the elder has it, and the other one
// has another, or is shown with the reason why it has none.
func (d *service) settled(elder, younger string) error {
	d.Helper()
	const why = "the name newton belongs to"
	list := d.members()
	var other control.Member
	for _, m := range list {
		if m.ID == younger {
			other = m
		}
	}
	renamed := strings.HasPrefix(other.Name, "newton-") && other.Conflict == ""
	if len(list) != 4 || list["newton"].ID != elder || !(renamed || strings.Contains(other.Conflict, why)) {
		return fmt.Errorf("%s lists %+v", d.name, list)
	}
	return nil
}
