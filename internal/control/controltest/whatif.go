package controltest

import (
	"context"
	"time"

	"overlayd/internal/control"
)

// WhatIf implements control.Backend.
func (b *Backend) WhatIf(_ context.Context, q control.WhatIfQuery) (control.WhatIf, error) {
	if err := b.record("WhatIf", q); err != nil {
		return control.WhatIf{}, err
	}
	v := control.WhatIf{Node: "belmont", Down: q.Down}
	if q.Down == "" {
		v.Cut = q.Cut[:]
	}
	direct := &control.Path{Endpoint: "198.51.100.3:51871", RTT: control.MillisOf(40 * time.Millisecond), Cost: control.CostOf(41)}
	relayed := &control.Path{
		Via: control.Via{"newton"}, Endpoint: "198.51.100.7:51871", RTT: control.MillisOf(21400 * time.Microsecond), Cost: control.CostOf(24),
	}
	v.Peers = control.List[control.Outlook]{
		{Peer: "boston", Outcome: control.OutcomeMoves, Now: direct, Then: relayed, Why: "the cheapest of 2 that are left"},
		{Peer: "cambridge", Outcome: control.OutcomeDown, Now: direct, Why: "it is the node that is missing"},
		{Peer: "lowell", Outcome: control.OutcomeDead, Why: "no path works now"},
		{Peer: "newton", Outcome: control.OutcomeStays, Now: direct, Then: direct, Why: "its path is not concerned"},
		{Peer: "quincy", Outcome: control.OutcomeSearch, Now: direct, Why: "newton would be asked to relay"},
		{Peer: "salem", Outcome: control.OutcomeCutOff, Now: direct, Why: "no path is left"},
	}
	return v, nil
}
