package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"testing"
	"time"

	"overlayd/internal/control"
)

// invites are the tokens that the daemon holds for good, without those that were used up.
func (d *service) invites() []control.Invite {
	d.Helper()
	list, err := d.client.Invites(d.Context())
	d.must(err)
	return slices.DeleteFunc(list, func(i control.Invite) bool { return i.Used >= i.Uses })
}

// hasUsed says whether the daemon lists exactly one token, used so often.
func (d *service) hasUsed(used, uses int) error {
	d.Helper()
	if list := d.invites(); len(list) != 1 || list[0].Used != used || list[0].Uses != uses {
		return fmt.Errorf("%s lists %+v", d.name, list)
	}
	return nil
}

// given is the IPv4 address that overlayd join prints.
func (b *bench) given(joined string) netip.Addr {
	b.Helper()
	found := regexp.MustCompile(`this node is \S+, (\S+),`).FindStringSubmatch(joined)
	if found == nil {
		b.Fatalf("join prints no address: %s", joined)
	}
	return netip.MustParseAddr(found[1])
}

// A token for three admits three; every member knows how many have come, and any admin cancels it.
func TestATokenForThree(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "cambridge", "boston")
	belmont, cambridge, boston := sites[0], sites[1], sites[2]
	belmont.does("admin", "grant", "cambridge")
	token := belmont.invite(belmont.endpoint(), "--uses", "3")
	var came []*site
	var given []netip.Addr
	for i, name := range []string{"salem", "newton", "quincy"} {
		s := r.site(name)
		given = append(given, r.given(r.works(s.join(token))))
		came = append(came, s)
		if i < 2 {
			r.eventually(soon, func() error {
				return errors.Join(belmont.hasUsed(i+1, 3), cambridge.hasUsed(i+1, 3), boston.hasUsed(i+1, 3))
			})
		}
		s.start()
	}
	r.refused(r.site("lynn").join(token), "used already", "overlayctl invite")
	r.eventually(soon, func() error { return boston.lists("belmont", "boston", "cambridge", "newton", "quincy", "salem") })

	token = belmont.invite(belmont.endpoint(), "--ttl", "2h")
	r.eventually(soon, func() error { return errors.Join(cambridge.hasUsed(0, 1), came[2].hasUsed(0, 1)) })
	id := cambridge.invites()[0].ID
	r.says(boston.does("invite", "list"), id, "0 of 1", "root", "any")
	r.refused(boston.ctl("invite", "cancel", id[:6]), "no admin")
	r.refused(cambridge.ctl("invite", "cancel", "0123456789abcdef"), "overlayctl invite list")
	r.refused(cambridge.ctl("invite", "cancel", "atlantis"), "atlantis")
	r.eventually(soon, func() error { return cambridge.isAdmin(true) })
	r.says(cambridge.does("invite", "cancel", id[:6]), id, "void")
	r.eventually(soon, func() error {
		for _, s := range append(came, belmont, boston) {
			if list := s.invites(); len(list) > 0 {
				return fmt.Errorf("%s lists %+v", s.name, list)
			}
		}
		return nil
	})
	r.refused(r.site("lynn").join(token), "cancel")
	r.says(boston.does("invite", "list"), "3 of 3", "used")
	for i, s := range came { // although there are two admins, who might both have signed
		if have := s.ipv4(); have != given[i] || boston.members()[s.name].Addresses[0] != have {
			t.Errorf("%s was given %s and has %s", s.name, given[i], have)
		}
	}
}

// Who cannot reach an admin joins through a member that does; and a join that broke off after the certificate was issued
// is repeated without harm.
func TestJoiningThroughAMemberThatIsNoAdmin(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "gate")
	belmont, gate := sites[0], sites[1]
	newton := r.site("newton")
	r.cut([]*site{belmont}, []*site{newton})
	begin := time.Now()
	addr := r.given(r.works(newton.join(belmont.invite(gate.endpoint(), "--name", "newton"))))
	t.Logf("the join through another member took %v", time.Since(begin))
	newton.start()
	r.meet(belmont, gate)
	r.meet(gate, newton)
	r.eventually(soon, func() error {
		return errors.Join(belmont.lists("belmont", "gate", "newton"), newton.lists("belmont", "gate", "newton"))
	})
	if have := newton.ipv4(); have != addr {
		t.Errorf("newton was given %s and has %s", addr, have)
	}
	ear := newton.ear()
	belmont.drum(newton.ipv4())
	ear.hears(r.bench, belmont.ipv4(), backWithin) // over the gate
}

// A join that broke off after the certificate was issued is repeated, and gives the same.
func TestABrokenJoinIsRepeated(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	salem := r.site("salem")
	token := belmont.invite(belmont.endpoint(), "--name", "salem")
	r.must(r.router.Lose(belmont.at, salem.at))
	broken, err := r.spawner.Start(salem.service.ns, r.command("overlayd", "join", token, "--name", "salem", "--state", salem.state))
	r.must(err)
	r.eventually(readyPatience, func() error { // the certificate is issued, and nobody hears of it
		if list := belmont.invites(); len(list) > 0 {
			return fmt.Errorf("the token is good: %+v", list)
		}
		return nil
	})
	broken.Kill()
	if exists(salem.state + "/network") {
		t.Fatal("the newcomer heard of it")
	}
	r.refused(belmont.ctl("invite", "--endpoint", belmont.endpoint(), "--name", "salem"), "salem")
	r.must(r.router.Unblock())
	first := belmont.status()
	addr := r.given(r.works(salem.join(token)))
	salem.start()
	r.meet(belmont, salem)
	if have := salem.ipv4(); have != addr || have != netip.MustParseAddr("10.71.0.2") {
		t.Errorf("salem was given %s and has %s", addr, have)
	}
	r.eventually(soon, func() error { return belmont.lists("belmont", "salem") })
	if told := belmont.status().Conflicts; len(told) > 0 || len(first.Conflicts) > 0 {
		t.Errorf("belmont is told %q", told)
	}
	r.refused(r.site("lynn").join(token), "used already")
}
