package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"testing"
	"time"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
	"overlayd/pathselect"
)

func TestRulesAreListed(t *testing.T) {
	s := &session{screen: newScreen(nil, nil)}
	routes, _ := (&controltest.Backend{}).Routes(t.Context())
	want := `ID  PEER    RULE                           BY      AGE   LEFT  NOTE
 3  boston  pinned via cambridge           root  1m00s  1h00m  line work
 4  all     never via salem strictly       ann   1h00m      -  salem is no member
 7  all     uplink wwan0 costs 50 ms more  -     2d00h      -  -
`
	if got := s.routesTable(routes, controltest.Time()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestWhatMakesARuleSaysWhatHoldsAndHowToEndIt(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const lax = "; what this bars is still used where nothing else works"
	for _, tt := range []struct {
		args []string
		want string
		call control.RouteRequest
	}{
		{
			[]string{"pin", "boston", "--via", "newton,cambridge", "--for", "90m", "--note", "line work"},
			"boston: what was asked of pin (rule 8) for 1h30m, in the place of rule 3" + lax,
			control.RouteRequest{
				Kind: control.RoutePin, Peer: "boston", Relays: control.Via{"newton", "cambridge"},
				For: control.Duration(90 * time.Minute), Note: "line work",
			},
		},
		{
			[]string{"pin", "boston", "--direct", "--strict"},
			"boston: what was asked of pin (rule 8), in the place of rule 3",
			control.RouteRequest{Kind: control.RoutePin, Peer: "boston", Strict: true},
		},
		{
			[]string{"avoid", "salem", "newton"},
			"all peers: what was asked of avoid (rule 8)",
			control.RouteRequest{Kind: control.RouteAvoid, Relays: control.Via{"salem", "newton"}},
		},
		{
			[]string{"prefer", "salem", "--peer", "boston"},
			"boston: what was asked of prefer (rule 8)",
			control.RouteRequest{Kind: control.RoutePrefer, Peer: "boston", Relays: control.Via{"salem"}},
		},
		{
			[]string{"never", "salem"},
			"all peers: what was asked of never (rule 8), in the place of rule 4" + lax,
			control.RouteRequest{Kind: control.RouteNever, Relays: control.Via{"salem"}},
		},
		{
			[]string{"cost", "salem", "20ms"},
			"all peers: what was asked of cost (rule 8), in the place of rule 7",
			control.RouteRequest{Kind: control.RouteCost, Relays: control.Via{"salem"}, Cost: 20},
		},
		{
			[]string{"cost", "--uplink", "wwan0", "2.5"},
			"all peers: what was asked of cost (rule 8), in the place of rule 7",
			control.RouteRequest{Kind: control.RouteCost, Uplink: "wwan0", Cost: 2.5},
		},
		{
			[]string{"hops", "1", "--strict"},
			"all peers: what was asked of hops (rule 8)",
			control.RouteRequest{Kind: control.RouteHops, Hops: 1, Strict: true},
		},
		{
			[]string{"algorithm", "balanced", "--class", "bulk", "--peer", "boston"},
			"boston: what was asked of algorithm (rule 8)",
			control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "balanced", Class: "bulk", Peer: "boston"},
		},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			b := &controltest.Backend{}
			want := tt.want + "; `overlayctl route remove 8` ends that"
			args := append([]string{"route"}, tt.args...)
			prints(t, b, want+"\n", args...)
			_, stdout, _ := ctl(t, b, append(args, "-o", "json")...)
			var got struct {
				Message string
				Routes  []control.Route
			}
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Message != want || len(got.Routes) != 1 || got.Routes[0].ID != 8 {
				t.Errorf("%v in %s", err, stdout)
			}
			tt.call.By = me.Username
			call := controltest.Call{Method: "AddRoute", Asked: tt.call}
			same(t, b.Calls(), []controltest.Call{call, call})
		})
	}
}

func TestRulesAreRemovedByNumber(t *testing.T) {
	b := &controltest.Backend{}
	prints(t, b, "rule 4 has ended: `overlayctl route list` shows what still holds\n", "route", "remove", "4")
	prints(t, b, "rules 7, 3 have ended: `overlayctl route list` shows what still holds\n", "route", "remove", "7", "3")
	prints(t, b, "no rule holds any more: paths are chosen by what is measured of them\n", "route", "remove", "--all")
	same(t, b.Calls(), []controltest.Call{
		{Method: "RemoveRoute", Asked: control.RouteRemoval{IDs: []uint32{4}}},
		{Method: "RemoveRoute", Asked: control.RouteRemoval{IDs: []uint32{7, 3}}},
		{Method: "RemoveRoute", Asked: control.RouteRemoval{All: true}},
	})
	_, stdout, _ := ctl(t, b, "route", "remove", "7", "-o", "json")
	var got struct{ Routes []control.Route }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Routes) != 1 || got.Routes[0].ID != 7 {
		t.Errorf("%v in %s", err, stdout)
	}
}

func TestMistakesInRoutingAreOneSentence(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, cli.ExitUsage, "overlayctl route is followed by pin, avoid, prefer, never, cost, hops, algorithm, list or remove"},
		{[]string{"pin"}, cli.ExitUsage, "overlayctl route pin takes one peer, and was given 0 arguments"},
		{[]string{"pin", "boston"}, cli.ExitUsage, "say which way: either --via with relays in order, or --direct"},
		{[]string{"pin", "boston", "--via", "a", "--direct"}, cli.ExitUsage, "say which way: either --via with relays in order, or --direct"},
		{[]string{"pin", "boston", "--via", "a,,b"}, cli.ExitUsage, `--via "a,,b" is neither relays with commas between them nor the word direct`},
		{[]string{"pin", "boston", "--direct", "--for", "-1h"}, cli.ExitUsage, "--for -1h is not a time that a rule can last: take 1h"},
		{[]string{"avoid"}, cli.ExitUsage, "overlayctl route avoid takes one relay or several, and was given 0 arguments"},
		{[]string{"avoid", "a", "--strict"}, cli.ExitUsage, "unknown flag: --strict: overlayctl route avoid --help lists the flags"},
		{
			[]string{"cost", "20"},
			cli.ExitUsage,
			"say what costs more: either `overlayctl route cost RELAY MS`, or `overlayctl route cost --uplink NAME MS`",
		},
		{
			[]string{"cost", "salem", "20", "--uplink", "eth0"},
			cli.ExitUsage,
			"say what costs more: either `overlayctl route cost RELAY MS`, or `overlayctl route cost --uplink NAME MS`",
		},
		{[]string{"cost", "salem", "much"}, cli.ExitUsage, `"much" is no number of milliseconds, such as 20`},
		{[]string{"hops", "few"}, cli.ExitUsage, `"few" is no number of hops, such as 2`},
		{[]string{"remove"}, cli.ExitUsage, "say which rules: either their numbers, which `overlayctl route list` shows, or --all"},
		{[]string{"remove", "3", "--all"}, cli.ExitUsage, "say which rules: either their numbers, which `overlayctl route list` shows, or --all"},
		{[]string{"remove", "x"}, cli.ExitUsage, "\"x\" is no number of a rule: `overlayctl route list` shows them"},
		{[]string{"remove", "9"}, cli.ExitUnknown, "no such rule as 9: `overlayctl route list` shows those that there are"},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			status, stdout, stderr := ctl(t, &controltest.Backend{}, append([]string{"route"}, tt.args...)...)
			if status != tt.status || stdout != "" || stderr != "overlayctl: "+tt.want+"\n" {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
		})
	}
	b := &controltest.Backend{Failure: errors.New("the disk is full")}
	if status, stdout, stderr := ctl(t, b, "route", "hops", "1"); status != 1 || stdout != "" || stderr != "overlayctl: the disk is full\n" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

func TestEveryAlgorithmIsOffered(t *testing.T) {
	_, help, _ := ctl(t, &controltest.Backend{}, "route", "algorithm", "--help")
	_, completed, _ := ctl(t, &controltest.Backend{}, "__complete", "route", "algorithm", "")
	for _, a := range pathselect.All() {
		if !strings.Contains(help, "  "+a.Name()+" ") || !strings.Contains(help, " "+a.Summary()+"\n") {
			t.Errorf("help does not list %s: %s", a.Name(), help)
		}
		if !strings.Contains("\n"+completed, "\n"+a.Name()+"\n") {
			t.Errorf("%s is not completed: %q", a.Name(), completed)
		}
	}
}
