package probe

import (
	"fmt"
	"time"
)

// Verdict is what becomes of data on the way to the peer, measured against the probes of the same time.
type Verdict uint8

// The verdicts.
const (
	Undecided  Verdict = iota // too little data was sent lately, or more of it is lost than chance makes likely
	Honest                    // data fares as probes do
	Congested                 // data is lost, but while there is a queue: the path is full
	DropsData                 // data is lost while probes pass
	DelaysData                // data arrives later than probes that were sent after it
)

// String is the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Undecided:
		return "undecided"
	case Honest:
		return "honest"
	case Congested:
		return "congested"
	case DropsData:
		return "drops data"
	case DelaysData:
		return "delays data"
	default:
		return fmt.Sprintf("verdict %d", uint8(v))
	}
}

// Data is what is known of the data that was sent on a path, with the figures that the verdict rests on. The ends count
// for themselves, and a relay can not read which packets are counted; but who counts at the other end is the peer, so
// what this says of the relays between is no better than its word.
type Data struct {
	Verdict    Verdict
	At         time.Time     // of the latest data that it rests on
	DataLoss   float64       // part of the data that was lost
	ProbeLoss  float64       // part of the probes that was lost in the same time
	Sent       int           // data packets that DataLoss is of
	Extra      time.Duration // that data took longer than probes; zero unless the verdict is DelaysData
	Span       time.Duration // that the figures are of: time in which data was sent
	Confidence float64       // that the verdict is not chance, 0 to 1; zero unless it accuses
}

// Accuses reports whether the verdict blames somebody on the path.
func (d *Data) Accuses() bool { return d.Verdict == DropsData || d.Verdict == DelaysData }

// String says it in a sentence for people.
func (d *Data) String() string {
	span := d.Span.Round(100 * time.Millisecond)
	switch d.Verdict {
	case Honest:
		return fmt.Sprintf("data fares as probes do: %s of %d packets lost in %v, %s of the probes",
			percent(d.DataLoss), d.Sent, span, percent(d.ProbeLoss))
	case Congested:
		return fmt.Sprintf("the path is full: %s of the data and %s of the probes lost in %v, while they wait in a queue",
			percent(d.DataLoss), percent(d.ProbeLoss), span)
	case DropsData:
		return fmt.Sprintf("data is dropped while probes pass: %s of %d packets lost in %v, but %s of the probes",
			percent(d.DataLoss), d.Sent, span, percent(d.ProbeLoss))
	case DelaysData:
		return fmt.Sprintf("data is held back while probes pass: it takes %d ms longer, for %v",
			d.Extra.Milliseconds(), span)
	default:
		if d.Sent == 0 {
			return "too little data was sent to judge by"
		}
		return fmt.Sprintf("data may be dropped, but that is not certain: %s of %d packets lost in %v, %s of the probes",
			percent(d.DataLoss), d.Sent, span, percent(d.ProbeLoss))
	}
}

func percent(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) }
