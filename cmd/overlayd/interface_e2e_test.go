package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// onLink does something to the overlay's interface, as another program may.
func (s *site) onLink(f func(netlink.Link) error) {
	s.Helper()
	s.must(s.ns.Do(func() error {
		link, err := netlink.LinkByName(s.device)
		if err != nil {
			return err
		}
		return f(link)
	}))
}

func flushAddresses(link netlink.Link) error {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	for i := 0; err == nil && i < len(list); i++ {
		err = netlink.AddrDel(link, &list[i])
	}
	return err
}

func flushRoutes(link netlink.Link) error {
	list, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	for i := 0; err == nil && i < len(list); i++ {
		if list[i].Table == unix.RT_TABLE_MAIN {
			err = netlink.RouteDel(&list[i])
		}
	}
	return err
}

func TestTheInterfaceIsRepaired(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	ear := belmont.isHeardBy(boston, soon)
	for _, c := range []struct {
		name string
		f    func(netlink.Link) error
	}{
		{"down", func(link netlink.Link) error { return netlink.LinkSetDown(link) }},
		{"addresses", flushAddresses},
		{"routes", flushRoutes},
	} {
		said := strings.Count(belmont.log(), "it is repaired")
		belmont.onLink(c.f)
		time.Sleep(100 * time.Millisecond)
		t.Logf("%s: data flows again %v later", c.name, ear.hears(r.bench, belmont.ipv4(), 2*time.Second))
		if strings.Count(belmont.log(), "it is repaired") == said {
			t.Errorf("%s: the log does not say it", c.name)
		}
	}
}

// The service manager starts again what has failed, and nothing that ended well.
func TestADaemonWhoseInterfaceIsDeletedFails(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.network("belmont")[0]
	belmont.onLink(netlink.LinkDel)
	select {
	case <-belmont.process.Done():
	case <-time.After(stopPatience):
		t.Fatal("it runs on without an interface")
	}
	if err := belmont.process.Err(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("it ended with %v", err)
	}
	lines := strings.Split(strings.TrimSpace(belmont.log()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, belmont.device) || !strings.Contains(last, "TUN interface is gone") {
		t.Errorf("its last word: %s", last)
	}
	belmont.start()
	r.eventually(soon, func() error {
		if s := belmont.status(); s.Node != "belmont" {
			return fmt.Errorf("status of %s", s.Node)
		}
		return nil
	})
}
