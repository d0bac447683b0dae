package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

// same compares what was asked for.
func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestInvitePrintsTheTokenAlone(t *testing.T) {
	b := &controltest.Backend{}
	prints(t, b, "overlayd1-TOKEN\n", "invite", "--name", "newton", "--ttl", "90m", "--endpoint", "example.org:1")
	prints(t, b, "{\n  \"token\": \"overlayd1-TOKEN\"\n}\n", "invite", "-o", "json",
		"--uses", "20", "--subnet", "192.168.0.0/16,fd00::/16", "--subnet", "10.0.0.0/8")
	subnets := []netip.Prefix{
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/16"), netip.MustParsePrefix("10.0.0.0/8"),
	}
	same(t, b.Invited(), []control.InviteRequest{
		{Name: "newton", TTL: control.Duration(90 * time.Minute), Endpoint: "example.org:1", Uses: 1},
		{TTL: control.Duration(24 * time.Hour), Uses: 20, Subnets: subnets},
	})
}

func TestInvitationsAreListed(t *testing.T) {
	s := &session{screen: newScreen(nil, nil)}
	invites, _ := (&controltest.Backend{}).Invites(t.Context())
	want := `ID                NAME       USED  GOOD FOR  BY       SUBNETS
00112233445566ff  newton   0 of 1     1h00m  belmont  -
aa112233445566ff  any     3 of 20     1d02h  root     192.168.0.0/16
`
	if got := s.invitesTable(invites, controltest.Time()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestMembersShowWhatEachMayAndClaims(t *testing.T) {
	s := &session{screen: newScreen(nil, nil)}
	members, _ := (&controltest.Backend{}).Members(t.Context())
	want := `MEMBER     STATE  ADDRESSES  ADMIN  RELAYS                   SUBNETS                      CARRIES         LABELS                          GOOD FOR  ISSUER   VERSION  CONFLICT
belmont    self   10.71.0.1  yes    auto, at most 20 Mbit/s  192.168.7.0/24               -               provider=comcast, site=belmont    90d00h  root     -        -
boston     up     10.71.0.3  no     never                    192.168.9.0/24, fd00:9::/64  192.168.9.0/24  -                                 90d00h  belmont  -        -
cambridge  idle   -          no     always                   -                            -               -                                expired  belmont  -        boston holds the address 10.71.0.3, enrolled earlier
`
	if got := s.membersTable(members, controltest.Time()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestRevokedNodesAreListed(t *testing.T) {
	s := &session{screen: newScreen(nil, nil)}
	revoked, _ := (&controltest.Backend{}).Revoked(t.Context())
	want := `NODE   HOW      BY    SINCE  ID
salem  revoked  root  1h00m  0a
-      left     0b    2d02h  0b
`
	if got := s.revokedTable(revoked, controltest.Time()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestListsInJSONAreWhatTheAPISays(t *testing.T) {
	for _, tt := range []struct {
		args []string
		key  string
		n    int
	}{
		{[]string{"members"}, "members", 3},
		{[]string{"invite", "list"}, "invites", 2},
		{[]string{"revoked"}, "revoked", 2},
	} {
		_, stdout, _ := ctl(t, &controltest.Backend{}, append(tt.args, "-o", "json")...)
		var got map[string][]map[string]any
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got) != 1 || len(got[tt.key]) != tt.n {
			t.Errorf("%v: %v in %s", tt.args, err, stdout)
		}
	}
}

func TestEmptyListsSaySo(t *testing.T) {
	prints(t, empty{&controltest.Backend{}}, "no token is good now: `overlayctl invite` makes one\n", "invite", "list")
	prints(t, empty{&controltest.Backend{}}, "no node was put out, and none has left\n", "revoked")
	prints(t, empty{&controltest.Backend{}}, "{\n  \"invites\": []\n}\n", "invite", "list", "-o", "json")
}

// empty is a network that nobody was invited to or put out of.
type empty struct{ control.Backend }

func (empty) Invites(context.Context) ([]control.Invite, error)  { return nil, nil }
func (empty) Revoked(context.Context) ([]control.Revoked, error) { return nil, nil }

func TestWhatChangesTheNetworkSaysWhatHappenedAndWhatIsNext(t *testing.T) {
	p := netip.MustParsePrefix("192.168.9.0/24")
	for _, tt := range []struct {
		args []string
		want string
		call controltest.Call
	}{
		{
			[]string{"invite", "cancel", "aa1"},
			"the invitation aa112233445566ff is void: nobody joins with its token any more, " +
				"and who has joined stays until `overlayctl revoke NODE`",
			controltest.Call{Method: "CancelInvite", Asked: "aa1"},
		},
		{
			[]string{"revoke", "boston"},
			"boston (03) is out, by the word of belmont: the others drop it as they hear of it; " +
				"`overlayctl reinstate boston` takes it back where the root key is",
			controltest.Call{Method: "Revoke", Asked: control.RevokeRequest{Node: "boston"}},
		},
		{
			[]string{"revoke", "boston", "--annul"},
			"boston (03) is out, and what it signed is void, by the word of root: the others drop it as they hear of it; " +
				"`overlayctl reinstate boston` takes it back where the root key is",
			controltest.Call{Method: "Revoke", Asked: control.RevokeRequest{Node: "boston", Annul: true}},
		},
		{
			[]string{"reinstate", "03"},
			"boston (03) is a member again, by the word of root: the others talk to it as they hear of it, " +
				"and `overlayctl members` shows it",
			controltest.Call{Method: "Reinstate", Asked: "03"},
		},
		{
			[]string{"leave"},
			"belmont has left charles, and its daemon has stopped: only a new invitation brings it back, " +
				"with `sudo overlayd join - --name belmont`",
			controltest.Call{Method: "Leave", Asked: false},
		},
		{
			[]string{"admin", "grant", "boston"},
			"boston is an admin, and may invite and revoke as soon as it hears of it: " +
				"`overlayctl admin withdraw boston` takes that back",
			controltest.Call{Method: "SetAdmin", Asked: control.AdminRequest{Node: "boston", Grant: true}},
		},
		{
			[]string{"admin", "withdraw", "boston"},
			"boston is no admin any more, and what it signed stays good: " +
				"`overlayctl revoke boston --annul` would void that and put it out",
			controltest.Call{Method: "SetAdmin", Asked: control.AdminRequest{Node: "boston"}},
		},
		{
			[]string{"subnet", "grant", "boston", "192.168.9.0/24"},
			"boston may advertise 192.168.9.0/24 as soon as it hears of it: " +
				"there it is named with `overlayd up --subnets 192.168.9.0/24` or in the configuration",
			controltest.Call{Method: "SetSubnet", Asked: control.SubnetRequest{Node: "boston", Subnet: p, Grant: true}},
		},
		{
			[]string{"subnet", "withdraw", "boston", "192.168.9.0/24"},
			"boston may advertise 192.168.9.0/24 no more: the others send nothing for it there as they hear of it; " +
				"`overlayctl members` shows who carries it now",
			controltest.Call{Method: "SetSubnet", Asked: control.SubnetRequest{Node: "boston", Subnet: p}},
		},
		{
			[]string{"root", "forget", "--force"},
			"the root key is gone from this node, which remains a member as it is: " +
				"`overlayctl root restore FILE` brings the key back to make an admin or to reinstate a node",
			controltest.Call{Method: "ForgetRoot", Asked: true},
		},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			b := &controltest.Backend{}
			prints(t, b, tt.want+"\n", tt.args...)
			_, stdout, _ := ctl(t, b, append(tt.args, "-o", "json")...)
			var got struct{ Message string }
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Message != tt.want {
				t.Errorf("%v in %s", err, stdout)
			}
			same(t, b.Calls(), []controltest.Call{tt.call, tt.call})
		})
	}
}

func TestRulingInJSONHasTheFieldsOfTheAPI(t *testing.T) {
	_, stdout, _ := ctl(t, &controltest.Backend{}, "revoke", "boston", "-o", "json")
	var got control.RevokeResult
	want := control.RevokeResult{Node: "boston", ID: "03", By: "belmont"}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got != want {
		t.Errorf("%v in %s", err, stdout)
	}
}

func TestMistakesInManagingAreOneSentence(t *testing.T) {
	for _, tt := range []struct {
		name    string
		failure error
		args    []string
		status  int
		want    string
	}{
		{"odd ttl", nil, []string{"invite", "--ttl", "-1h"}, cli.ExitUsage, "--ttl -1h is not a time that a token can live: take 24h"},
		{
			"odd endpoint", nil,
			[]string{"invite", "--endpoint", "host"},
			cli.ExitUsage,
			`--endpoint "host" is not HOST:PORT, such as belmont.example.org:51871`,
		},
		{"no use", nil, []string{"invite", "--uses", "0"}, cli.ExitUsage, "--uses 0 is not a number of nodes that may join: take 1 to 1000"},
		{
			"one name for two", nil,
			[]string{"invite", "--uses", "2", "--name", "newton"},
			cli.ExitUsage,
			"--uses 2 does not go with --name: only one node can be called newton",
		},
		{
			"odd subnet", nil,
			[]string{"invite", "--subnet", "10.0.0.1/8"},
			cli.ExitUsage,
			"--subnet: 10.0.0.1/8 has bits beyond its length: write 10.0.0.0/8",
		},
		{
			"no verb of invite", nil,
			[]string{"invite", "drop"},
			cli.ExitUsage,
			"overlayctl invite takes no argument, or list, or cancel ID, and was given 1 arguments",
		},
		{"nobody to revoke", nil, []string{"revoke"}, cli.ExitUsage, "overlayctl revoke takes one node, and was given 0 arguments"},
		{"nothing of admin", nil, []string{"admin"}, cli.ExitUsage, "overlayctl admin is followed by grant or withdraw"},
		{
			"odd word of admin", nil,
			[]string{"admin", "give", "boston"},
			cli.ExitUsage,
			`there is no command "give": overlayctl admin is followed by grant or withdraw`,
		},
		{
			"odd network", nil,
			[]string{"subnet", "grant", "boston", "0.0.0.0/0"},
			cli.ExitUsage,
			"0.0.0.0/0 is everything: name the networks behind the node, such as 192.168.7.0/24",
		},
		{
			"odd invitation", nil,
			[]string{"invite", "cancel", "token"},
			1,
			"\"token\" is no identifier of an invitation: `overlayctl invite list` shows them",
		},
		{
			"unknown invitation", nil,
			[]string{"invite", "cancel", "b"},
			cli.ExitUnknown,
			"no such invitation as b: `overlayctl invite list` shows those that are good",
		},
		{
			"the only admin", fmt.Errorf("%w: nobody else could invite: make another admin first, or use --force", control.ErrConflict),
			[]string{"leave"},
			1, "nobody else could invite: make another admin first, or use --force",
		},
		{
			"without the root key", fmt.Errorf("%w: run it on belmont", control.ErrNotRoot),
			[]string{"reinstate", "boston"},
			cli.ExitPermission, "not without the root key: run it on belmont",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := control.Backend(&controltest.Backend{Failure: tt.failure})
			if tt.failure != nil {
				b = found{b}
			}
			status, stdout, stderr := ctl(t, b, tt.args...)
			if status != tt.status || stdout != "" || stderr != "overlayctl: "+tt.want+"\n" {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
		})
	}
}

// found is a backend that tells its status even if all else fails.
type found struct{ control.Backend }

func (found) Status(ctx context.Context) (control.Status, error) {
	return (&controltest.Backend{}).Status(ctx)
}

func TestRatesHaveDecimalUnits(t *testing.T) {
	for n, want := range map[uint64]string{
		10_000: "10 kbit/s", 2_500_000: "2.5 Mbit/s", 1_000_000_000: "1 Gbit/s", 999: "999 bit/s",
	} {
		if got := rate(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
