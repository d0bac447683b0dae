package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
)

// atOnce is how many nodes join and start at the same time.
const atOnce = 6

// enrol makes the network, lets every node join it that is to, and starts those that begin started.
func (t *trial) enrol(ctx context.Context) error {
	began := time.Now()
	founder := t.nodes[t.scenario.Founder]
	for _, n := range t.nodes {
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return err
		}
	}
	if err := founder.found(ctx); err != nil {
		return err
	}
	if err := founder.start(); err != nil {
		return err
	}
	if err := founder.ready(ctx); err != nil {
		return err
	}
	if l := t.scenario.LANOf(founder.site.name); l != nil {
		if _, err := founder.ctl(ctx, "subnet", "grant", founder.site.name, l.Subnet.String()); err != nil {
			return err
		}
	}
	newcomers := slices.DeleteFunc(slices.Clone(t.scenario.Sites), func(spec scenario.Site) bool {
		return spec.Outsider || spec.Name == t.scenario.Founder
	})
	if err := t.enrolAll(ctx, founder, newcomers); err != nil {
		return err
	}
	t.enrolment = judge.Enrolment{Nodes: len(newcomers) + 1, Took: time.Since(began)}
	return founder.poll(ctx, joinPatience, t.learnAddresses)
}

// enrolAll lets nodes join by invitations of the founder and starts them, some at a time.
func (t *trial) enrolAll(ctx context.Context, founder *node, newcomers []scenario.Site) error {
	token := ""
	if t.tools.manyUses && len(newcomers) > 0 {
		var err error
		if token, err = founder.invite(ctx, "--uses", strconv.Itoa(len(newcomers))); err != nil {
			return err
		}
	}
	return inParallel(atOnce, newcomers, func(spec scenario.Site) error {
		n := t.nodes[spec.Name]
		own := token
		if own == "" || t.scenario.LANOf(spec.Name) != nil {
			var err error
			if own, err = founder.invite(ctx, t.invitation(spec.Name)...); err != nil {
				return err
			}
		}
		if err := n.join(ctx, own); err != nil {
			return err
		}
		t.joined(time.Now())
		if spec.Down {
			return nil
		}
		return n.start()
	})
}

// joined notes that a node has become a member.
func (t *trial) joined(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.After(t.lastJoin) {
		t.lastJoin = at
	}
}

// learnAddresses reads from the founder which address every node has.
func (t *trial) learnAddresses(ctx context.Context) error {
	s, err := t.nodes[t.scenario.Founder].client.Status(ctx)
	if err != nil {
		return err
	}
	for _, m := range s.Members {
		if n := t.nodes[m.Name]; n != nil {
			n.setAddress(m.Addresses)
		}
	}
	for _, spec := range t.scenario.Sites {
		if !spec.Outsider && !t.nodes[spec.Name].address().IsValid() {
			return fmt.Errorf("%s knows no address of %s", t.scenario.Founder, spec.Name)
		}
	}
	return nil
}

// inParallel calls f for every item, a bounded number at a time, and joins the errors. After an error it begins no more.
func inParallel[T any](limit int, items []T, f func(T) error) error {
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards what follows
		next  int
		errs  []error
	)
	take := func() (item T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(items) || len(errs) > 0 {
			return item, false
		}
		next++
		return items[next-1], true
	}
	for range min(limit, len(items)) {
		group.Go(func() {
			for {
				item, ok := take()
				if !ok {
					return
				}
				if err := f(item); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
