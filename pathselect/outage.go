package pathselect

import "time"

// outage is a time in which no path that may be used works, after one did.
type outage struct {
	since time.Time // zero: there is none
	last  Chosen    // the path that was selected when it began
}

func (o *outage) lasts() bool { return !o.since.IsZero() }

// strand says why no path works, as it is now, and returns the selected path. A dead one stays selected, since it is the
// first that is tried; if it was removed, the one that died last takes its place. One that a strict rule excludes does not
// stay.
func (s *Selector) strand(failed *candidate) *candidate {
	r := s.current.Reason
	if failed == nil && r.Code == NoPath { // none ever worked
		return nil
	}
	if failed == nil {
		failed = s.diedLast()
	}
	switch {
	case failed != nil && failed.hard:
		r = Reason{Code: CutOff, From: chosen(failed), Detail: failed.bar}
	case failed != nil:
		r = Reason{Code: NothingElse, From: chosen(failed), To: chosen(failed), Detail: failed.Why}
	default:
		r = Reason{Code: NothingElse, From: r.From}
	}
	r.Forbidden, r.Rule = Chosen{}, ""
	for _, c := range s.list {
		if c != failed && c.hard && c.State == Up {
			r.Forbidden, r.Rule = chosen(c), c.bar
			break
		}
	}
	if !s.outage.lasts() {
		s.outage = outage{since: s.now, last: r.From}
	}
	s.current.Selected, s.current.Reason, s.current.Since = r.To.ID, r, s.outage.since
	if r.To.ID == 0 {
		return nil
	}
	return failed
}

// diedLast is the path that died last; without any, one that works but is excluded by a strict rule; or nil.
func (s *Selector) diedLast() (last *candidate) {
	for _, c := range s.list {
		switch {
		case c.hard && (c.State == Up || c.State == Suspect):
			if last == nil {
				last = c
			}
		case c.State == Dead && !c.hard && (last == nil || last.hard || c.Since.After(last.Since)):
			last = c
		}
	}
	return last
}

// comeBack ends an outage with a path that works.
func (s *Selector) comeBack(to *candidate) {
	s.move(to, Reason{Code: Returned, From: s.outage.last, To: chosen(to), After: s.now.Sub(s.outage.since)})
}
