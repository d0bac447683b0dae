package member

import (
	"testing"
	"time"
)

// A record of this node that it has not signed may be from before its disk was lost. Another one moments later is not.
func TestARecordByACopyIsTold(t *testing.T) {
	p := newParty(t, 1)
	copied := NewSet(p.net, p.id, p.set.cert, seededRand(2))
	p.learn(copied, Load{p.set.Stored()})
	told := func() (list []Surpassed) {
		for _, out := range p.set.Drain(nil) {
			if s, ok := out.(Surpassed); ok {
				list = append(list, s)
			}
		}
		return list
	}
	told()
	for i, want := range []bool{false, true, true} {
		at := start.Add(time.Duration(i+1) * time.Minute)
		_ = copied.Step(at, Publish{Statement{Endpoints: endpoints([]string{"203.0.113.9:1", "203.0.113.9:2", "203.0.113.9:3"}[i])}})
		_ = copied.Step(at.Add(time.Second), Tick{})
		_ = p.set.Step(at, learnRecord(copied.Own().raw))
		list := told()
		if len(list) != 1 || list[0].Again != want || list[0].Record.Sequence != copied.Own().Sequence {
			t.Fatalf("record %d: told %+v, want again %v", i, list, want)
		}
	}
}
