package lab

import (
	"fmt"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// judge hands in what was observed, and tells how good the observation was.
func (t *trial) judge() judge.Result {
	r := judge.Result{Scenario: t.scenario.Name, Seed: t.seed}
	e := judge.Evidence{
		Scenario: t.scenario, Line: t.line, Series: make(map[scenario.Pair]meter.Series), History: t.history,
		Strangers: t.strangers,
	}
	for d, record := range t.meters.records {
		e.Series[d] = record.Series()
		r.Accuracy.Sender = max(r.Accuracy.Sender, e.Series[d].Late())
	}
	t.search()
	t.mu.Lock()
	e.Transfers, e.Findings = t.transfers, t.findings
	t.mu.Unlock()
	outcomes, err := e.Judge()
	if err != nil {
		t.fault(err)
	}
	r.Outcomes, r.Flows = outcomes, e.Flows()
	late, _ := t.world.wan.Report()
	r.Accuracy.Packets, r.Accuracy.P99, r.Accuracy.Max = late.Count(), late.Quantile(0.99), late.Max()
	r.Accuracy.Waiting = (cpuPressure() - t.pressure).Seconds() / time.Since(t.epoch).Seconds()
	return r
}

// search looks for the known text in every capture.
func (t *trial) search() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.scenario.Expect {
		if c, ok := x.Check.(scenario.Capture); ok {
			t.findings[x.Name] = t.captures[x.Name].found(c, t.secret, t.transfers[c.During])
		}
	}
}

// found is whether a site's uplink showed the known text as expected: 1 or 0. A nil capture has not been made.
func (c *capture) found(want scenario.Capture, text *secret, during judge.Transfer) judge.Measured {
	switch {
	case during.Err != nil:
		return judge.Measured{Missing: true, Note: during.Err.Error()}
	case c == nil || c.size < max(1, want.AtLeast):
		return judge.Measured{Missing: true, Note: "too little passed there to prove anything"}
	case c.overflow && !want.Found:
		return judge.Measured{Missing: true, Note: "more passed than was kept"}
	}
	pieces := c.search(text)
	m := judge.Measured{Note: fmt.Sprintf("%d pieces of %d bytes in %d packets, %.1f MB",
		pieces, pieceLen, len(c.packets), float64(c.size)/1e6)}
	if (pieces > 0) == want.Found {
		m.Value = 1
	}
	return m
}
