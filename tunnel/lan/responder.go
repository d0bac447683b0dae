package lan

import (
	"net/netip"
	"time"
)

// Config is a Responder's schedule and bounds. DefaultConfig is a good start.
type Config struct {
	Questions []time.Duration // when it is asked who has the address, from the start, before it is first held
	Listen    time.Duration   // how long answers to that are told of, from the start

	Announce []time.Duration // when the address is announced, from Hold
	Repeat   time.Duration   // from one announcement to the next, after that

	Defend  time.Duration // between two announcements that contradict another station, at least
	Quiet   time.Duration // a contradiction is told of again if it has been the last one for so long
	Answers int           // answers a second, at most
}

// DefaultConfig is what a node uses. The first repeats are for frames that are lost while a switch learns where the
// station is; the later ones for caches and switches that have forgotten.
func DefaultConfig() Config {
	const ms = time.Millisecond
	return Config{
		Questions: []time.Duration{0, 1000 * ms}, Listen: 3 * time.Second,
		Announce: []time.Duration{0, 300 * ms, 1500 * ms}, Repeat: 30 * time.Second,
		Defend: time.Second, Quiet: time.Minute, Answers: 200,
	}
}

// Input is what a Responder is told.
type Input interface{ input() }

// Hold begins to answer for the address. To repeat it does no harm.
type Hold struct{}

// Release ends it.
type Release struct{}

// Received is a frame that came from the LAN. It is not kept.
type Received struct{ Frame []byte }

// Tick lets time pass; it is due when NextDeadline has come.
type Tick struct{}

func (Hold) input()     {}
func (Release) input()  {}
func (Received) input() {}
func (Tick) input()     {}

// Output is what a Responder wants done.
type Output interface{ output() }

// Send sends a frame to the LAN.
type Send struct{ Frame []byte }

// Contested tells that another station claims the address while it is held, once for as long as that goes on.
type Contested struct{ By MAC }

// Occupied tells that another station answered for the address at the start. That may be another node of the site.
type Occupied struct{ By MAC }

func (Send) output()      {}
func (Contested) output() {}
func (Occupied) output()  {}

// Responder decides what one station says on its LAN about one address. The zero time of its fields is "never".
type Responder struct {
	cfg      Config
	addr     netip.Addr
	mac      MAC
	networks []netip.Prefix

	started   time.Time
	asked     int // questions so far
	listening bool

	held      bool
	announced int       // announcements of the schedule so far
	announce  time.Time // the next one, while held

	conflicts    uint64
	rival        MAC
	lastConflict time.Time
	lastDefence  time.Time
	defend       time.Time // when a defence is due that had to wait

	second  time.Time // the present one, for the limit of answers
	answers int       // in it

	out []Output
}

// NewResponder is for a station with this hardware address, in a LAN with these networks. The address has no zone.
func NewResponder(cfg Config, addr netip.Addr, mac MAC, networks []netip.Prefix) *Responder {
	return &Responder{cfg: cfg, addr: addr, mac: mac, networks: networks}
}

// Held reports whether the address is held.
func (r *Responder) Held() bool { return r.held }

// Conflicts is how often another station claimed the address while it was held, and which one did last, held or not.
func (r *Responder) Conflicts() (uint64, MAC) { return r.conflicts, r.rival }

// Step takes an input at a time. An error means that a frame was ignored, and that is all.
func (r *Responder) Step(now time.Time, in Input) error {
	if r.started.IsZero() {
		r.started, r.listening = now, true
	}
	var err error
	switch in := in.(type) {
	case Hold:
		r.hold(now)
	case Release:
		r.held = false
		r.defend = time.Time{}
	case Received:
		err = r.receive(now, in.Frame)
	}
	r.passTime(now)
	return err
}

func (r *Responder) hold(now time.Time) {
	if r.held {
		return
	}
	r.held, r.listening = true, false
	r.announced = 0
	r.announce = now.Add(r.announcementAfter(0))
	r.lastDefence, r.lastConflict = time.Time{}, time.Time{}
}

// announcementAfter is how long after the one before a scheduled announcement is due; the first one's is from Hold.
func (r *Responder) announcementAfter(n int) time.Duration {
	switch {
	case n >= len(r.cfg.Announce):
		return r.cfg.Repeat
	case n == 0:
		return r.cfg.Announce[0]
	default:
		return r.cfg.Announce[n] - r.cfg.Announce[n-1]
	}
}

func (r *Responder) receive(now time.Time, frame []byte) error {
	m, err := Parse(frame)
	switch {
	case err != nil:
		return err
	case m.Station == r.mac: // ourselves, from a switch that has not learned yet
	case m.Claims == r.addr:
		r.contradict(now, m.Station)
	case m.Asks == r.addr && r.held && r.near(m.Source) && r.mayAnswer(now):
		r.send(AppendAnswer(nil, r.mac, m))
	}
	return nil
}

// contradict notes that another station claims the address.
func (r *Responder) contradict(now time.Time, by MAC) {
	if !r.held {
		if r.listening {
			r.listening = false
			r.out = append(r.out, Occupied{By: by})
		}
		r.rival = by
		return
	}
	if r.lastConflict.IsZero() || by != r.rival || now.Sub(r.lastConflict) >= r.cfg.Quiet {
		r.out = append(r.out, Contested{By: by})
	}
	r.conflicts++
	r.rival, r.lastConflict = by, now
	if r.defend.IsZero() {
		r.defend = now
		if next := r.lastDefence.Add(r.cfg.Defend); !r.lastDefence.IsZero() && next.After(now) {
			r.defend = next
		}
	}
}

// near reports whether an address is one of a host on this LAN. A host that has none yet may ask, too.
func (r *Responder) near(a netip.Addr) bool {
	if a.IsUnspecified() || a.Is6() && !a.Is4In6() && a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range r.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (r *Responder) mayAnswer(now time.Time) bool {
	if now.Sub(r.second) >= time.Second {
		r.second, r.answers = now, 0
	}
	r.answers++
	return r.answers <= r.cfg.Answers
}

// passTime says what is due.
func (r *Responder) passTime(now time.Time) {
	if r.listening {
		if r.asked < len(r.cfg.Questions) && !now.Before(r.started.Add(r.cfg.Questions[r.asked])) {
			r.asked++
			r.send(AppendQuestion(nil, r.mac, r.addr))
		}
		r.listening = now.Before(r.started.Add(r.cfg.Listen))
	}
	if !r.held {
		return
	}
	due := !now.Before(r.announce)
	if due { // one, however late it is
		r.announced++
		r.announce = now.Add(r.announcementAfter(r.announced))
	}
	if !r.defend.IsZero() && !now.Before(r.defend) {
		due, r.defend, r.lastDefence = true, time.Time{}, now
	}
	if due {
		r.send(AppendAnnouncement(nil, r.mac, r.addr))
	}
}

func (r *Responder) send(frame []byte) { r.out = append(r.out, Send{Frame: frame}) }

// NextDeadline is when the next Tick is due, if one is.
func (r *Responder) NextDeadline() (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if r.listening {
		sooner(r.started.Add(r.cfg.Listen))
		if r.asked < len(r.cfg.Questions) {
			sooner(r.started.Add(r.cfg.Questions[r.asked]))
		}
	}
	if r.held {
		sooner(r.announce)
		if !r.defend.IsZero() {
			sooner(r.defend)
		}
	}
	return at, ok
}

// Drain appends what is to be done, in order, and forgets it.
func (r *Responder) Drain(dst []Output) []Output {
	dst = append(dst, r.out...)
	clear(r.out)
	r.out = r.out[:0]
	return dst
}
