package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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
	if a, b := elder.status().Node, younger.status().Node; a != "newton" || b != "newton" {
		t.Fatalf("the nodes are %s and %s", a, b)
	}

	begin := time.Now()
	r.must(r.router.Unblock())
	id := younger.status().ID
	all := []*site{belmont, cambridge, elder, younger}
	r.eventually(meetWithin, func() error {
		var errs []error
		for _, s := range all {
			list := s.members()
			if len(list) != 4 || list["newton"].ID != elder.status().ID || list["newton"].Conflict != "" {
				errs = append(errs, fmt.Errorf("%s lists %+v", s.name, list))
			}
			for _, m := range list {
				if m.ID == id && m.Name == "newton" {
					errs = append(errs, fmt.Errorf("%s shows no conflict of %+v", s.name, m))
				}
				if m.ID == id && strings.HasPrefix(id, m.Name) && !strings.Contains(m.Conflict, "the name newton belongs to") {
					errs = append(errs, fmt.Errorf("%s shows no conflict of %+v", s.name, m))
				}
			}
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
