package circuit

import (
	"encoding/binary"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// FuzzStep feeds a machine any sequence of inputs, encoded as a byte for the kind and bytes for what is in it.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 2, 3, 4, 2, 2, 2, 1, 9, 9, 20})
	f.Add([]byte{1, 1, 2, 3, 4, 0, 5, 6, 2, 3, 5, 7, 3, 1, 5, 4, 3, 5, 8, 9, 1, 9, 1})
	f.Add([]byte{5, 1, 77, 6, 5, 1, 7, 1, 8, 1, 9, 10, 0, 11, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		cfg := DefaultConfig()
		cfg.Total, cfg.PerNeighbor, cfg.PerOpener, cfg.Own = 8, 5, 3, 3
		m := newMachine(t, 2, cfg)
		now := start
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		node := func() wire.NodeID { return id(next() % 10) }
		var lastID wire.CircuitID
		circuitID := func() wire.CircuitID {
			if b := next(); b < 128 {
				return wire.CircuitID(b % 16)
			}
			return lastID
		}
		for len(script) > 0 {
			_ = m.Step(now, fuzzInput(next(), next, node, circuitID, &now))
			for _, out := range m.Drain(nil) {
				if send, ok := out.(Send); ok {
					message(t, out)
					lastID = wire.CircuitID(binary.BigEndian.Uint64(send.Body))
					if send.To == m.self || send.To.IsZero() {
						t.Fatalf("sends to %v", send.To)
					}
				}
			}
			if m.counts.own > cfg.Own || m.counts.others > cfg.Total || len(m.circuits) != m.counts.own+m.counts.others {
				t.Fatal("beyond a bound")
			}
			if deadline, ok := m.NextDeadline(); ok != (len(m.circuits) > 0) || ok && deadline.After(now.Add(cfg.Idle)) {
				t.Fatal("no deadline, or a wrong one")
			}
		}
	})
}

func fuzzInput(
	kind byte, next func() byte, node func() wire.NodeID, circuitID func() wire.CircuitID, now *time.Time,
) Input {
	nodes := func() []wire.NodeID {
		r := make([]wire.NodeID, next()%6)
		for i := range r {
			r[i] = node()
		}
		return r
	}
	label := func() wire.Label { return wire.Label(next() % 8) }
	switch kind % 12 {
	case 0:
		return Open{Route: nodes()}
	case 1:
		o := wire.CircuitOpen{ID: circuitID(), Opener: node(), Route: nodes(), Hop: next() % 5, Label: label()}
		return Received{node(), o}
	case 2:
		return Received{node(), wire.CircuitOpened{ID: circuitID(), Label: label()}}
	case 3:
		return Received{node(), wire.CircuitClose{ID: circuitID()}}
	case 4:
		return Received{node(), wire.CircuitError{ID: circuitID(), Label: label(), Reason: wire.Reason(next()), By: node()}}
	case 5:
		return UnknownLabel{node(), label()}
	case 6:
		return Used{circuitID(), now.Add(time.Duration(next()) * time.Second)}
	case 7:
		return NeighborRestarted{node()}
	case 8:
		return NeighborGone{node()}
	case 9:
		return SetRelay{next()%2 == 0}
	case 10:
		return Close{circuitID()}
	default:
		*now = now.Add(time.Duration(next()) * time.Second / 4)
		return Tick{}
	}
}
