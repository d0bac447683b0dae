package node

import (
	"context"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/policy"
)

// Routes implements control.Backend.
func (n *Node) Routes(ctx context.Context) (list []control.Route, err error) {
	err = n.do(ctx, func(time.Time) { list = n.core.viewRules(n.core.rules.set.Rules()) })
	return list, err
}

// AddRoute implements control.Backend.
func (n *Node) AddRoute(ctx context.Context, r control.RouteRequest) (v control.RouteResult, err error) {
	err = n.manage(ctx, func(now time.Time) error {
		wanted, err := n.core.rulesOf(now, r)
		if err != nil {
			return err
		}
		added, replaced, err := n.core.AddRules(now, wanted)
		v = control.RouteResult{Routes: n.core.viewRules(added), Replaced: n.core.viewRules(replaced)}
		return err
	})
	return v, err
}

// RemoveRoute implements control.Backend.
func (n *Node) RemoveRoute(ctx context.Context, r control.RouteRemoval) (list []control.Route, err error) {
	ids := make([]policy.ID, len(r.IDs))
	for i, id := range r.IDs {
		ids[i] = policy.ID(id)
	}
	err = n.manage(ctx, func(now time.Time) error {
		removed, err := n.core.RemoveRules(now, ids, r.All)
		list = n.core.viewRules(removed)
		return err
	})
	return list, err
}

// saveRules stores the rules that users made. It is done at once: whoever made one was told that it lasts.
func (n *Node) saveRules(out SaveRules) error {
	if n.leaving {
		return nil
	}
	if err := n.dir.SaveRules(out.Rules); err != nil {
		n.log.Error("cannot store the rules for paths", "err", err)
		return err
	}
	return nil
}
