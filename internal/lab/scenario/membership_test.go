package scenario

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const crowded = `
name: crowded
duration: 60s
founder: node-1
sites:
  late: {member: false}
crowd: {name: node, count: 5, rtt: 20ms..80ms}
lans:
  office: {subnet: 192.168.7.0/24, gateway: 192.168.7.1, nodes: [node-1, node-2], hosts: [desk]}
  shed: {subnet: 192.168.8.0/28, nodes: [node-3], hosts: [saw, lamp]}
traffic:
  packets: {flow: desk -- saw}
events:
  grant: {at: 1s, grant: node-2, by: node-1}
  withdraw: {at: 2s, withdraw: node-2, by: node-1}
  split: {at: 5s, split: [[node-1..node-2, late], [node-3..node-5]]}
  heal: {at: split + 5s, heal: split}
  join: {at: 15s, join: late, by: node-1, through: node-2}
  revoke: {at: 20s, revoke: node-5, by: node-1}
  leave: {at: 25s, leave: node-4}
  wipe: {at: 30s, wipe: node-2..node-3}
  kill: {at: 31s, kill: gateway of office}
expect:
  converged: {converged: all, from: heal, within: 10s}
  revoked: {revoked: node-5, from: revoke, within: 2s}
  members: {members: node-1..node-3, are: 5, from: leave, within: 2s}
  connected: {connected: desk -- late, from: join, within: 5s}
  idle: {idle-traffic: all, from: 10s, to: 14s, below: 5kbit}
`

func TestCrowdStandsForItsSites(t *testing.T) {
	s := parse(t, crowded, false)
	var names []string
	for _, site := range s.Sites {
		names = append(names, site.Name)
	}
	if want := []string{"late", "node-1", "node-2", "node-3", "node-4", "node-5"}; !slices.Equal(names, want) {
		t.Errorf("the sites are %v", names)
	}
	if !s.Sites[0].Outsider || !s.Sites[0].Down || s.Sites[1].Outsider {
		t.Errorf("outsiders: %+v", s.Sites[:2])
	}
	if s.Sites[5].Address != netip.MustParseAddr("198.51.100.6") {
		t.Errorf("the last has %v", s.Sites[5].Address)
	}
	if all := s.Nodes(Group{All}); !slices.Equal(all, names) {
		t.Errorf("all are %v", all)
	}
}

func TestMembershipIsRead(t *testing.T) {
	s := parse(t, crowded, false)
	want := map[string]any{
		"split":     Split{[]Group{{"node-1", "node-2", "late"}, {"node-3", "node-4", "node-5"}}},
		"heal":      Heal{"split"},
		"join":      Join{Node: "late", By: "node-1", Through: "node-2"},
		"revoke":    Revoke{"node-5", "node-1"},
		"leave":     Leave{"node-4"},
		"grant":     Grant{"node-2", "node-1"},
		"withdraw":  Withdraw{"node-2", "node-1"},
		"wipe":      Wipe{Who{Sites: Group{"node-2", "node-3"}}},
		"kill":      Kill{Who{GatewayOf: "office"}},
		"converged": Converged{Group{All}, Limit{Bound: 10, In: 1}},
		"revoked":   Revoked{"node-5", Group{All}, Limit{Bound: 2, In: 1}},
		"members":   Members{Group{"node-1", "node-2", "node-3"}, 5, Limit{Bound: 2, In: 1}},
		"connected": Connected{Pair{"desk", "late", true}, Limit{Bound: 5, In: 1}},
		"idle":      IdleTraffic{Group{All}, Limit{Bound: 5000, In: 1}},
	}
	got := make(map[string]any)
	for _, e := range s.Events {
		got[e.Name] = e.Action
	}
	for _, x := range s.Expect {
		got[x.Name] = x.Check
	}
	for name, w := range want {
		if !reflect.DeepEqual(got[name], w) {
			t.Errorf("%s: got %#v, want %#v", name, got[name], w)
		}
	}
}

func TestDistancesComeFromTheSeedAndHaveNoShortCuts(t *testing.T) {
	c := Crowd{Name: "node", Count: 20, RTT: Span{20 * time.Millisecond, 80 * time.Millisecond}}
	var all []time.Duration
	for i := range c.Count {
		for j := range i {
			a, b := member("node", i), member("node", j)
			d := c.Delay(1, a, b)
			if d < 10*time.Millisecond || d > 40*time.Millisecond || d != c.Delay(1, b, a) {
				t.Errorf("%s to %s: %v, and back %v", a, b, d, c.Delay(1, b, a))
			}
			for k := range c.Count {
				if over := member("node", k); k != i && k != j && c.Delay(1, a, over)+c.Delay(1, over, b) < d {
					t.Errorf("%s to %s is shorter over %s", a, b, over)
				}
			}
			all = append(all, d)
		}
	}
	if slices.Sort(all); all[len(all)-1]-all[0] < 10*time.Millisecond {
		t.Errorf("all are from %v to %v", all[0], all[len(all)-1])
	}
	if c.Delay(1, "node-1", "node-2") == c.Delay(2, "node-1", "node-2") {
		t.Error("another seed draws the same distance")
	}
}

func TestAddressesOnALANGoAroundTheGateway(t *testing.T) {
	s := parse(t, crowded, false)
	for name, want := range map[string]string{
		"node-1": "192.168.7.2", "node-2": "192.168.7.3", "desk": "192.168.7.4",
		"node-3": "192.168.8.1", "saw": "192.168.8.2", "lamp": "192.168.8.3",
	} {
		if got := s.LANOf(name).Address(name).String(); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	if s.LANs[0].Exit().String() != "192.168.7.1" || s.LANs[1].Exit().String() != "192.168.8.1" {
		t.Errorf("the exits are %v and %v", s.LANs[0].Exit(), s.LANs[1].Exit())
	}
	if s.LANOf("late") != nil {
		t.Error("late is on a LAN")
	}
}

func TestErrorsOfTheMembershipNameTheLine(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"count: 5", "count: 0", "line 7: a crowd has a count from 1 to 250"},
		{"count: 5", "count: 250", "more than 250 sites with the crowd"},
		{"rtt: 20ms..80ms", "rtt: 80ms..20ms", `"80ms..20ms" is not a span of time`},
		{"late: {member", "node-2: {member", "a site cannot be named node-2"},
		{"node-3..node-5", "node-5..node-3", `"node-5..node-3" is not a range`},
		{"node-3..node-5", "node-3..late-5", "is not a range"},
		{"node-3..node-5", "node-2..node-5", "node-2 is in two groups"},
		{"node-3..node-5", "node-3..node-6", `there is no site "node-6"`},
		{"[[node-1..node-2, late], [node-3..node-5]]", "node-1", "expected two groups or more"},
		{"heal: split}", "heal: join}", `there is no event "join" with split`},
		{"revoke: node-5, by: node-1", "revoke: node-5", `the event "revoke" needs by`},
		{"revoke: node-5, by: node-1", "revoke: node-5, by: node-5", "node-5 cannot do that to itself"},
		{"revoke: node-5, by: node-1", "revoke: desk, by: node-1", `there is no site "desk"`},
		{"gateway of office", "gateway of shed", `there is no LAN "shed" with a gateway`},
		{"kill: gateway of", "start: gateway of", "cannot be named by the gateway that it is"},
		{"are: 5, ", "", `the expectation "members" needs are`},
		{"members: node-1..node-3", "members: []", "a group names one node at least"},
		{"from: 10s, to: 14s", "at: 10s", "is measured from one moment to another"},
		{"below: 5kbit", "below: 5", `"5" is not a rate`},
		{"flow: desk -- saw", "flow: desk -- hammer", `there is no site and no host "hammer"`},
		{"flow: desk -- saw", "flow: desk -- late", "late has no address yet when traffic begins"},
		{"subnet: 192.168.8.0/28", "subnet: 192.168.8.1/28", "is not an IPv4 subnet"},
		{"subnet: 192.168.8.0/28", "subnet: 192.168.7.0/28", "have addresses in common"},
		{"gateway: 192.168.7.1", "gateway: 192.168.9.1", "is not in 192.168.7.0/24"},
		{"nodes: [node-3]", "nodes: [node-2]", "node-2 is on a LAN twice"},
		{"nodes: [node-3]", "nodes: []", "needs one of the nodes at least"},
		{"hosts: [desk]", "hosts: [late]", "late is a site"},
		{"founder: node-1", "founder: late", "the founder late is a member from the start"},
	} {
		text := strings.Replace(crowded, test.from, test.to, 1)
		if text == crowded {
			t.Errorf("%q is not in the example", test.from)
		}
		_, err := Parse([]byte(text), false)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q for %q: got %v, want %q", test.to, test.from, err, test.want)
		}
	}
}
