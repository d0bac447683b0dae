package judge

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"overlayd/internal/lab/scenario"
)

// Strangers notes what sites send to addresses from which nobody has sent them anything yet: as long as nobody answers,
// nobody knows whose they are. An answer counts when it is sent: that it arrives may be told by another path. It may be used
// from many goroutines.
type Strangers struct {
	mu    sync.Mutex // guards what follows
	all   map[sending]*stranger
	spoke map[[2]netip.Addr]bool // from which address to which something was sent
}

// sending is who sends where.
type sending struct {
	site string
	to   netip.Addr
}

// stranger is what was sent to an address before it answered, and when.
type stranger struct {
	sent     []time.Time
	data     []time.Time // those of sent that were WireGuard's data
	answered bool
}

// maxStrangers and maxSendings bound what is kept.
const (
	maxStrangers = 10_000
	maxSendings  = 100_000 // to one address
)

// NewStrangers knows nobody.
func NewStrangers() *Strangers {
	return &Strangers{all: make(map[sending]*stranger), spoke: make(map[[2]netip.Addr]bool)}
}

func (s *Strangers) of(site string, addr netip.Addr) *stranger {
	key := sending{site, addr}
	x := s.all[key]
	if x == nil && len(s.all) < maxStrangers {
		x = &stranger{}
		s.all[key] = x
	}
	return x
}

// Sent notes a packet that leaves a site, and whether it is WireGuard's data.
func (s *Strangers) Sent(site string, from, to netip.Addr, at time.Time, data bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spoke) < maxStrangers {
		s.spoke[[2]netip.Addr{from, to}] = true
	}
	x := s.of(site, to)
	if x == nil || len(x.sent) >= maxSendings {
		return
	}
	if x.answered = x.answered || s.spoke[[2]netip.Addr{to, from}]; x.answered {
		return
	}
	x.sent = append(x.sent, at)
	if data {
		x.data = append(x.data, at)
	}
}

// Most is the largest number of packets, or of data, that one of some sites sent to one stranger in any span of a window,
// and which. An address that several sites have counts for each of them.
func (s *Strangers) Most(
	sites []string, data bool, from, to time.Time, span time.Duration, owners func(netip.Addr) int,
) (most int, site string, at netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.all {
		if !slices.Contains(sites, key.site) {
			continue
		}
		times := x.sent
		if data {
			times = x.data
		}
		each := max(1, owners(key.to))
		n := (busiest(times, from, to, span) + each - 1) / each
		if n > most || n == most && n > 0 && (key.to.Less(at) || key.to == at && key.site < site) {
			most, site, at = n, key.site, key.to
		}
	}
	return most, site, at
}

// busiest is the largest number of times in any span of a window.
func busiest(times []time.Time, from, to time.Time, span time.Duration) (most int) {
	first := 0
	for i, t := range times {
		if t.After(to) {
			break
		}
		for times[first].Before(from) && first < i || t.Sub(times[first]) > span {
			first++
		}
		if !t.Before(from) {
			most = max(most, i-first+1)
		}
	}
	return most
}

// unanswered judges what was sent to strangers.
func (j judgement) unanswered(c scenario.Unanswered) Outcome {
	what := map[bool]string{false: "packets to a stranger in 10 s", true: "data to a stranger in 10 s"}[c.Data]
	o := upTo(what, Count, c.AtMost)
	if j.Strangers == nil {
		o.Missing, o.Note = true, "nobody has counted"
		return o
	}
	epoch := j.History.Epoch()
	n, site, at := j.Strangers.Most(
		j.Scenario.Nodes(c.Of), c.Data, epoch.Add(j.from), epoch.Add(j.to), scenario.UnansweredSpan, j.owners,
	)
	o.Value = float64(n)
	if n > 0 {
		o.Note = site + " to " + at.String()
	}
	return o
}

// owners is how many sites have an address on a bridge.
func (j judgement) owners(addr netip.Addr) (n int) {
	for _, site := range j.Scenario.Sites {
		if slices.ContainsFunc(site.Bridges, func(b scenario.Bridge) bool { return b.Prefix.Addr() == addr }) {
			n++
		}
	}
	return n
}
