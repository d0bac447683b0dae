package lab

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"overlayd/internal/lab/scenario"
)

// overlayPort is the UDP port on which every daemon listens.
const overlayPort = 51871

// occasion is an event as it came about.
type occasion struct {
	once  sync.Once
	began time.Time     // read it after over
	over  chan struct{} // closed when the event has been done
}

// happened notes that the event has been done, if it is the first time.
func (o *occasion) happened(began time.Time) {
	o.once.Do(func() {
		o.began = began
		close(o.over)
	})
}

// actOnMembers does what an event on the membership says. That a program refuses is a fault; the time line goes on.
func (t *trial) actOnMembers(ctx context.Context, timed scenario.Timed) error {
	switch a := timed.Action.(type) {
	case scenario.Join:
		t.note(time.Now(), "join", fmt.Sprintf("%s, invited by %s%s", a.Node, a.By, through(a.Through)))
		t.blame(timed.Event, t.join(ctx, a))
	case scenario.Revoke:
		t.note(time.Now(), "revoke", a.Node+", by "+a.By)
		t.blame(timed.Event, t.order(ctx, a.By, "revoke", a.Node))
		t.nodes[a.Node].setMember(false)
	case scenario.Leave:
		t.note(time.Now(), "leave", a.Node)
		t.nodes[a.Node].setMember(false)
		t.blame(timed.Event, t.order(ctx, a.Node, "leave"))
	case scenario.Grant:
		t.note(time.Now(), "grant", a.Node+" is an admin, by "+a.By)
		t.blame(timed.Event, t.order(ctx, a.By, "admin", "grant", a.Node))
	case scenario.Withdraw:
		t.note(time.Now(), "withdraw", a.Node+" is no admin, by "+a.By)
		t.blame(timed.Event, t.order(ctx, a.By, "admin", "withdraw", a.Node))
	case scenario.Wipe:
		return t.eachOf(a.Who, "wipe", (*node).wipe)
	case scenario.Split:
		t.setSplit(a, true)
	case scenario.Heal:
		for _, e := range t.scenario.Events {
			if split, ok := e.Action.(scenario.Split); ok && e.Name == a.Event {
				t.setSplit(split, false)
			}
		}
	default:
		return fmt.Errorf("the lab does not know %T", a)
	}
	return nil
}

func through(name string) string {
	if name == "" {
		return ""
	}
	return ", through " + name
}

// blame notes the failure of an event as a fault.
func (t *trial) blame(event string, err error) {
	if err != nil {
		t.fault(fmt.Errorf("event %s: %w", event, err))
		t.note(time.Now(), "fault", err.Error())
	}
}

// order runs overlayctl at a node, and tells what it says.
func (t *trial) order(ctx context.Context, at string, args ...string) error {
	b, err := t.nodes[at].ctl(ctx, args...)
	if err == nil && len(b) > 0 {
		t.journal.Block(time.Since(t.epoch), "said", strings.Split(strings.TrimRight(string(b), "\n"), "\n"))
	}
	return err
}

// join lets a node become a member and waits until its daemon answers.
func (t *trial) join(ctx context.Context, a scenario.Join) error {
	n := t.nodes[a.Node]
	args := t.invitation(a.Node)
	if a.Through != "" {
		endpoint := net.JoinHostPort(t.world.sites[a.Through].public.String(), strconv.Itoa(overlayPort))
		args = append(args, "--endpoint", endpoint)
	}
	token, err := t.nodes[a.By].invite(ctx, args...)
	if err != nil {
		return err
	}
	if err := n.enter(ctx, token); err != nil {
		return err
	}
	return n.ready(ctx)
}

func (t *trial) setSplit(a scenario.Split, cut bool) {
	t.world.split(t.scenario.Severs(a), cut)
	t.note(time.Now(), map[bool]string{true: "split", false: "heal"}[cut], a.Sizes(t.scenario)+" nodes")
}
