package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// meters are the flows of small packets that run throughout a trial.
type meters struct {
	receivers []*meter.Receiver
	senders   []*meter.Sender
	records   map[scenario.Pair]*meter.Record
}

// meterPort is the UDP port of every receiver.
const meterPort = 7007

// startMeters starts every flow of the scenario.
func (t *trial) startMeters() (_ *meters, err error) {
	m := &meters{records: make(map[scenario.Pair]*meter.Record)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	at := make(map[string]*meter.Receiver)
	id := uint32(0)
	for _, spec := range t.scenario.Traffic {
		for _, d := range spec.Flow.Directions() {
			if at[d.To] == nil {
				if at[d.To], err = meter.Listen(t.world.place(d.To), meterPort); err != nil {
					return m, err
				}
				m.receivers = append(m.receivers, at[d.To])
			}
			record, err := meter.NewRecord(t.epoch, spec.Every, t.scenario.Duration)
			if err != nil {
				return m, err
			}
			t.journal.TellGaps(d, spec.Every, record)
			id++
			at[d.To].Expect(id, record)
			sender, err := meter.Send(t.world.place(d.From), meter.Flow{
				ID: id, From: t.address(d.From, false), To: netip.AddrPortFrom(t.address(d.To, false), meterPort),
				Every: spec.Every, Size: spec.Size,
			}, record)
			if err != nil {
				return m, err
			}
			m.senders = append(m.senders, sender)
			m.records[d] = record
		}
		t.journal.Note(time.Since(t.epoch), "traffic", fmt.Sprintf("%v, a packet every %v", spec.Flow, spec.Every))
	}
	return m, nil
}

// stop ends the flows.
func (m *meters) stop() {
	for _, s := range m.senders {
		s.Stop()
	}
}

// close ends the flows and their receivers.
func (m *meters) close() error {
	m.stop()
	var errs []error
	for _, r := range m.receivers {
		errs = append(errs, r.Close())
	}
	m.receivers = nil
	return errors.Join(errs...)
}
