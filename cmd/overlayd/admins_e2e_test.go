package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"overlayd/internal/control"
)

// soon is how soon what somebody has signed is known to all that can be reached.
const soon = 5 * time.Second

// isAdmin says whether the daemon is an admin by its own word.
func (d *service) isAdmin(want bool) error {
	d.Helper()
	if have := d.status().Admin; have != want {
		return fmt.Errorf("%s is an admin: %t", d.name, have)
	}
	return nil
}

// takes says whether the daemon takes another one for an admin.
func (d *service) takes(name string, admin bool) error {
	d.Helper()
	if m, listed := d.members()[name]; !listed || m.Admin != admin {
		return fmt.Errorf("%s takes %s for %+v", d.name, name, m)
	}
	return nil
}

// An admin needs nobody to invite and revoke, and what it signed stays when it is none any more. The network outlives
// its founder.
func TestAdminsDoWithoutTheFounder(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	newton, salem := r.site("newton"), r.site("salem")

	r.refused(cambridge.ctl("admin", "grant", "cambridge"), "root")
	r.refused(cambridge.ctl("invite", "--endpoint", cambridge.endpoint()), "no admin")
	r.says(belmont.does("admin", "grant", "cambridge"), "cambridge is an admin", "overlayctl admin withdraw cambridge")
	r.refused(belmont.ctl("admin", "grant", "cambridge"), "already")
	r.eventually(soon, func() error { return errors.Join(cambridge.isAdmin(true), boston.takes("cambridge", true)) })
	r.cut([]*site{belmont}, []*site{newton})
	newton.joins(cambridge)
	newton.start()
	r.must(r.router.Unblock())
	r.meet(belmont, cambridge, boston, newton)
	if by := boston.members()["newton"].Issuer; by != "cambridge" {
		t.Errorf("newton's certificate is signed by %q", by)
	}
	r.refused(cambridge.ctl("admin", "grant", "newton"), "root")
	r.refused(cambridge.ctl("revoke", "boston", "--annul"), "root")

	r.says(belmont.does("admin", "withdraw", "cambridge"), "cambridge is no admin any more")
	r.eventually(soon, func() error { return errors.Join(cambridge.isAdmin(false), newton.takes("cambridge", false)) })
	r.refused(cambridge.ctl("invite", "--endpoint", cambridge.endpoint()), "no admin")
	r.refused(cambridge.ctl("revoke", "newton"), "no admin")
	r.refused(cambridge.ctl("subnet", "grant", "newton", "192.168.9.0/24"), "no admin")
	r.refused(belmont.ctl("admin", "withdraw", "cambridge"), "no admin")
	all := []string{"belmont", "boston", "cambridge", "newton"}
	for _, s := range []*site{belmont, cambridge, boston, newton} {
		r.must(s.lists(all...))
	}

	belmont.does("admin", "grant", "cambridge")
	r.eventually(soon, func() error { return errors.Join(cambridge.isAdmin(true), newton.takes("cambridge", true)) })
	belmont.process.Kill()
	r.must(os.RemoveAll(belmont.state))
	for _, s := range []*site{cambridge, boston, newton} {
		s.stop()
		s.start()
	}
	salem.joins(cambridge)
	salem.start()
	r.meet(cambridge, boston, newton, salem)
	r.eventually(soon, func() error { return salem.lists("belmont", "boston", "cambridge", "newton", "salem") })
	cambridge.does("revoke", "belmont")
	r.eventually(soon, func() error {
		var errs []error
		for _, s := range []*site{cambridge, boston, newton, salem} {
			errs = append(errs, s.lists("boston", "cambridge", "newton", "salem"), s.holdsOut("belmont"))
		}
		return errors.Join(errs...)
	})
	r.refused(cambridge.ctl("reinstate", "belmont"), "root")
}

// gone says whether the state directory has nothing left that makes a member.
func (d *service) gone() error {
	for _, name := range []string{"identity", "network", "root", "records"} {
		if exists(filepath.Join(d.state, name)) {
			return fmt.Errorf("%s still has %s", d.name, name)
		}
	}
	return nil
}

// Who leaves is gone everywhere at once, keeps nothing, and may come back as somebody new.
func TestLeaving(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	before := boston.status()

	r.refused(belmont.ctl("leave"), "root key", "overlayctl root export", "--force")
	belmont.does("root", "forget", "--force")
	r.refused(belmont.ctl("leave"), "only admin", "--force")
	r.refused(belmont.ctl("admin", "grant", "cambridge"), "root")
	if err := errors.Join(belmont.lists("belmont", "boston", "cambridge"), cambridge.lists("belmont", "boston", "cambridge")); err != nil {
		t.Error("a refused leave did something:", err)
	}

	begin := time.Now()
	r.says(boston.does("leave"), "boston has left", "overlayd join - --name boston")
	took := time.Since(begin)
	if err := boston.process.Err(); err != nil { // systemd starts again what fails
		t.Errorf("the daemon that left has ended with %v", err)
	}
	r.eventually(outWithin-time.Since(begin), func() error {
		return errors.Join(belmont.lists("belmont", "cambridge"), cambridge.lists("belmont", "cambridge"), boston.gone())
	})
	t.Logf("overlayctl leave took %v; after %v nobody lists it", took, time.Since(begin))
	r.says(cambridge.does("revoked"), "boston", "left")
	if exists(boston.socket) {
		t.Error("the daemon that left has left its socket")
	}

	boston.here().refused(boston.here().run(boston.command("overlayd", boston.flags()...)),
		"no longer a member of a network", "overlayd join", "overlayd init", boston.state)

	boston.joins(belmont)
	boston.start()
	r.meet(belmont, cambridge, boston)
	after := boston.status()
	if after.Node != "boston" || after.ID == before.ID || len(after.Conflicts) > 0 {
		t.Errorf("boston came back as %s, %s (it was %s), %q", after.Node, after.ID, before.ID, after.Conflicts)
	}
	if m := cambridge.members()["boston"]; m.ID != after.ID || m.State != control.StateUp {
		t.Errorf("cambridge lists boston as %+v", m)
	}
	// With force the last admin may go, and the others stay.
	belmont.does("leave", "--force")
	r.eventually(outWithin, func() error {
		return errors.Join(cambridge.lists("boston", "cambridge"), boston.lists("boston", "cambridge"))
	})
	r.must(errors.Join(cambridge.reaches("boston"), boston.reaches("cambridge")))
}
