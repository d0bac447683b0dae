package scenario

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// validate checks what a single key cannot know.
func (s *Scenario) validate(root *yaml.Node) error {
	v := validator{s: s, sites: make(map[string]bool), hosts: make(map[string]bool), events: make(map[string]Action)}
	for _, site := range s.Sites {
		v.sites[site.Name] = true
	}
	for _, e := range s.Events {
		v.events[e.Name] = e.Action
	}
	switch {
	case s.Name == "":
		v.fail(root.Line, "a scenario needs a name")
	case s.Duration == 0:
		v.fail(root.Line, "a scenario needs a duration")
	case len(s.Sites) < 2:
		v.fail(root.Line, "a scenario needs two sites or more")
	}
	if at := slices.IndexFunc(s.Sites, func(site Site) bool { return !site.Outsider }); s.Founder == "" && at >= 0 {
		s.Founder = s.Sites[at].Name
	}
	v.checkSites(root.Line)
	v.checkLANs()
	for _, l := range s.Links {
		if !l.Any {
			v.pair(root.Line, l.Pair)
		}
	}
	v.checkTraffic(root.Line)
	for _, e := range s.Events {
		v.checkEvent(e)
	}
	for _, x := range s.Expect {
		v.checkExpectation(x)
	}
	if len(v.errs) == 0 {
		v.errs = append(v.errs, s.checkMoments())
	}
	return errors.Join(v.errs...)
}

// validator collects what is wrong.
type validator struct {
	s      *Scenario
	sites  map[string]bool
	hosts  map[string]bool // of the LANs
	events map[string]Action
	errs   []error
}

func (v *validator) fail(line int, format string, args ...any) {
	v.errs = append(v.errs, &lineError{line, fmt.Sprintf(format, args...)})
}

func (v *validator) site(line int, name string) {
	if !v.sites[name] {
		v.fail(line, "there is no site %q", name)
	}
}

func (v *validator) pair(line int, p Pair) {
	v.site(line, p.From)
	v.site(line, p.To)
}

// ends checks that traffic can flow: between nodes, or hosts.
func (v *validator) ends(line int, p Pair) {
	for _, name := range []string{p.From, p.To} {
		if !v.sites[name] && !v.hosts[name] {
			v.fail(line, "there is no site and no host %q", name)
		}
	}
}

func (v *validator) checkSites(line int) {
	v.site(line, v.s.Founder)
	taken := make(map[string]string)
	names := make(map[string]bool)
	for _, site := range v.s.Sites {
		if names[site.Name] || site.Name == All {
			v.fail(line, "a site cannot be named %s: the crowd has that name, or it stands for every site", site.Name)
		}
		names[site.Name] = true
		for _, a := range site.Addresses() {
			addr := a.String()
			if other, ok := taken[addr]; ok {
				v.fail(line, "the sites %s and %s have one address, %s", other, site.Name, addr)
			}
			taken[addr] = site.Name
		}
		if site.NAT != NoNAT && !site.Address.IsValid() {
			v.fail(line, "the site %s has no IPv4, so there is nothing to masquerade", site.Name)
		}
		if site.Name == v.s.Founder && site.NAT != NoNAT {
			v.fail(line, "the founder %s is behind a NAT, so nobody could join", site.Name)
		}
		if site.Name == v.s.Founder && site.Outsider {
			v.fail(line, "the founder %s is a member from the start", site.Name)
		}
	}
}

func (v *validator) checkTraffic(line int) {
	taken := make(map[Pair]string)
	for _, t := range v.s.Traffic {
		v.ends(line, t.Flow)
		for _, site := range v.s.Sites {
			if site.Outsider && (site.Name == t.Flow.From || site.Name == t.Flow.To) {
				v.fail(line, "%s has no address yet when traffic begins; expect it to be connected", site.Name)
			}
		}
		for _, d := range t.Flow.Directions() {
			if other, ok := taken[d]; ok {
				v.fail(line, "%s and %s are both traffic %v", other, t.Name, d)
			}
			taken[d] = t.Name
		}
	}
}

func (v *validator) checkEvent(e Event) {
	switch a := e.Action.(type) {
	case Cut:
		v.pair(e.Line, a.Link)
	case Restore:
		v.pair(e.Line, a.Link)
	case Set:
		v.pair(e.Line, a.Link)
	case Flap:
		v.pair(e.Line, a.Link)
	case SetPorts:
		v.site(e.Line, a.Site)
	case Kill:
		v.who(e.Line, a.Who)
	case Stop:
		v.who(e.Line, a.Who)
	case Start:
		v.who(e.Line, a.Who)
		if a.Who.RelayOf != nil {
			v.fail(e.Line, "a relay that does not run cannot be named by its path")
		}
		if a.Who.GatewayOf != "" {
			v.fail(e.Line, "a node that does not run cannot be named by the gateway that it is")
		}
	case TCP:
		v.ends(e.Line, a.Flow)
		if a.Underlay {
			v.pair(e.Line, a.Flow)
		}
		if (a.For == 0) == (a.Bytes == 0) {
			v.fail(e.Line, "tcp needs one of for and bytes")
		}
	case Show:
		for _, name := range a.Sites {
			v.site(e.Line, name)
		}
	default:
		if !v.checkFault(e) {
			v.checkMembershipEvent(e)
		}
	}
}

func (v *validator) who(line int, w Who) {
	if w.RelayOf == nil && w.GatewayOf == "" {
		v.group(line, w.Sites)
	}
	at := slices.IndexFunc(v.s.LANs, func(l LAN) bool {
		return l.Name == w.GatewayOf && l.Gateway.IsValid() && len(l.Hosts) > 0
	})
	if w.GatewayOf != "" && at < 0 {
		v.fail(line, "there is no LAN %q with a gateway and a host that knows it", w.GatewayOf)
	}
	if w.RelayOf != nil {
		v.pair(line, *w.RelayOf)
	}
}

func (v *validator) checkExpectation(x Expectation) {
	switch c := x.Check.(type) {
	case Outage:
		v.flow(x.Line, c.Flow)
	case Loss:
		v.flow(x.Line, c.Flow)
	case Lost:
		v.flow(x.Line, c.Flow)
	case FirstPacket:
		v.flow(x.Line, c.Flow)
	case Path:
		v.pair(x.Line, c.Of)
		for _, name := range c.Is.Via {
			v.site(x.Line, name)
		}
	case Switches:
		v.pair(x.Line, c.Of)
	case Dead:
		v.pair(x.Line, c.Of)
	case Quarantined:
		v.pair(x.Line, c.Of)
	case Goodput:
		v.transfer(x.Line, c.Of)
		v.transfer(x.Line, c.Against)
	case Capture:
		v.site(x.Line, c.Site)
		if t, ok := v.transfer(x.Line, c.During); ok && !t.Text {
			v.fail(x.Line, "the event %s does not carry the text: give it text: true", c.During)
		}
	default:
		if !v.checkFaultCheck(x) {
			v.checkMembership(x)
		}
	}
}

// flow checks that there is traffic in every direction of the pair.
func (v *validator) flow(line int, p Pair) {
	v.ends(line, p)
	for _, d := range p.Directions() {
		found := false
		for _, t := range v.s.Traffic {
			for _, have := range t.Flow.Directions() {
				found = found || have == d
			}
		}
		if !found {
			v.fail(line, "there is no traffic %v", d)
		}
	}
}

func (v *validator) transfer(line int, event string) (TCP, bool) {
	t, ok := v.events[event].(TCP)
	if !ok {
		v.fail(line, "there is no event %q with tcp", event)
	}
	return t, ok
}
