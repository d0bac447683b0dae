package controltest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/control"
)

// Routes implements control.Backend.
func (b *Backend) Routes(context.Context) ([]control.Route, error) { return routes(), b.Failure }

func routes() []control.Route {
	return []control.Route{
		{
			ID: 3, Kind: control.RoutePin, Peer: "boston", Relays: control.Via{"cambridge"}, What: "pinned via cambridge", By: "root",
			Created: Time().Add(-time.Minute), Expires: Time().Add(time.Hour), Note: "line work",
		},
		{
			ID: 4, Kind: control.RouteNever, Relays: control.Via{"salem"}, Strict: true, What: "never via salem strictly", By: "ann",
			Created: Time().Add(-time.Hour), Strangers: control.List[string]{"salem"},
		},
		{
			ID: 7, Kind: control.RouteCost, Uplink: "wwan0", Cost: control.CostOf(50), What: "uplink wwan0 costs 50 ms more",
			Created: Time().Add(-48 * time.Hour),
		},
	}
}

// AddRoute implements control.Backend. It makes one rule, numbered 8, in the place of one of the same kind.
func (b *Backend) AddRoute(_ context.Context, r control.RouteRequest) (control.RouteResult, error) {
	if err := b.record("AddRoute", r); err != nil {
		return control.RouteResult{}, err
	}
	made := control.Route{
		ID: 8, Kind: r.Kind, Peer: r.Peer, Relays: r.Relays, Uplink: r.Uplink, Hops: r.Hops, Algorithm: r.Algorithm,
		Class: r.Class, Strict: r.Strict, What: fmt.Sprintf("what was asked of %s", r.Kind), By: r.By, Created: Time(), Note: r.Note,
	}
	if r.For > 0 {
		made.Expires = Time().Add(time.Duration(r.For))
	}
	replaced := slices.DeleteFunc(routes(), func(old control.Route) bool { return old.Kind != r.Kind })
	return control.RouteResult{Routes: control.List[control.Route]{made}, Replaced: replaced}, nil
}

// RemoveRoute implements control.Backend.
func (b *Backend) RemoveRoute(_ context.Context, r control.RouteRemoval) ([]control.Route, error) {
	if err := b.record("RemoveRoute", r); err != nil {
		return nil, err
	}
	if r.All {
		return routes(), nil
	}
	var removed []control.Route
	for _, id := range r.IDs {
		i := slices.IndexFunc(routes(), func(have control.Route) bool { return have.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("%w as %d: `overlayctl route list` shows those that there are", control.ErrUnknownRoute, id)
		}
		removed = append(removed, routes()[i])
	}
	return removed, nil
}
