package control_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func TestJSONOfTheMembershipIsTheContract(t *testing.T) {
	_, socket, _ := client(t, &controltest.Backend{})
	seed := base64.StdEncoding.EncodeToString(controltest.Seed())
	for _, tt := range []struct{ name, method, path, body string }{
		{"members", "GET", "/v1/members", ""},
		{"invites", "GET", "/v1/invites", ""},
		{"revoked", "GET", "/v1/revoked", ""},
		{"invites-cancel", "POST", "/v1/invites/cancel", `{"id": "AA11"}`},
		{"revoke", "POST", "/v1/revoke", `{"node": "boston", "annul": true}`},
		{"reinstate", "POST", "/v1/reinstate", `{"node": "boston"}`},
		{"nothing", "POST", "/v1/admin", `{"node": "boston", "grant": true}`},
		{"nothing", "POST", "/v1/subnets", `{"node": "boston", "subnet": "10.0.0.0/8", "grant": true}`},
		{"nothing", "POST", "/v1/leave", ``},
		{"root-export", "POST", "/v1/root/export", `{}`},
		{"nothing", "POST", "/v1/root/restore", `{"seed": "` + seed + `"}`},
		{"nothing", "POST", "/v1/root/forget", `{"force": true}`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			status, got := get(t, socket, tt.method, tt.path, tt.body)
			if status != http.StatusOK {
				t.Fatalf("status %d: %s", status, got)
			}
			golden(t, filepath.Join("testdata", tt.name+".json"), indent(t, got))
		})
	}
}

// answers checks what came back of one call.
func answers[T any](t *testing.T, name string, want T) func(got T, err error) {
	t.Helper()
	return func(got T, err error) {
		t.Helper()
		compare := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestClientManagesTheMembership(t *testing.T) {
	b := &controltest.Backend{}
	c, _, _ := client(t, b)
	ctx := t.Context()
	members, _ := b.Members(ctx)
	answers(t, "members", members)(c.Members(ctx))
	invites, _ := b.Invites(ctx)
	answers(t, "invites", invites)(c.Invites(ctx))
	revoked, _ := b.Revoked(ctx)
	answers(t, "revoked", revoked)(c.Revoked(ctx))

	subnet := netip.MustParsePrefix("10.0.0.0/8")
	answers(t, "cancel", invites[1])(c.CancelInvite(ctx, "aa11"))
	answers(t, "revoke", control.RevokeResult{Node: "boston", ID: "03", By: control.ByRoot})(
		c.Revoke(ctx, control.RevokeRequest{Node: "03", Annul: true}))
	answers(t, "reinstate", control.RevokeResult{Node: "boston", ID: "03", By: control.ByRoot})(c.Reinstate(ctx, "boston"))
	answers(t, "export", controltest.Seed())(c.ExportRoot(ctx))
	for name, err := range map[string]error{
		"admin":   c.SetAdmin(ctx, control.AdminRequest{Node: "boston", Grant: true}),
		"subnet":  c.SetSubnet(ctx, control.SubnetRequest{Node: "boston", Subnet: subnet}),
		"leave":   c.Leave(ctx, true),
		"restore": c.RestoreRoot(ctx, controltest.Seed()),
		"forget":  c.ForgetRoot(ctx, false),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	calls := map[string]any{}
	for _, call := range b.Calls() {
		calls[call.Method] = call.Asked
	}
	answers(t, "calls", map[string]any{
		"CancelInvite": "aa11", "Revoke": control.RevokeRequest{Node: "03", Annul: true}, "Reinstate": "boston",
		"ExportRoot": nil, "SetAdmin": control.AdminRequest{Node: "boston", Grant: true},
		"SetSubnet": control.SubnetRequest{Node: "boston", Subnet: subnet}, "Leave": true,
		"RestoreRoot": controltest.Seed(), "ForgetRoot": false,
	})(calls, nil)
}

func TestOddChangesAreRefusedBeforeTheNodeSeesThem(t *testing.T) {
	b := &controltest.Backend{}
	_, socket, _ := client(t, b)
	for _, tt := range []struct{ path, body, want string }{
		{"/v1/invite", `{"uses": 1001}`, "a token is good for 1 to 1000 nodes, not for 1001"},
		{"/v1/invite", `{"uses": -1}`, "a token is good for 1 to 1000 nodes, not for -1"},
		{"/v1/invite", `{"uses": 2, "name": "newton"}`, "only one node can be called newton"},
		{"/v1/invite", `{"subnets": ["10.0.0.1/8"]}`, "10.0.0.1/8 has bits beyond its length: write 10.0.0.0/8"},
		{"/v1/invite", `{"subnets": [` + strings.Repeat(`"10.0.0.0/8",`, 8) + `"10.0.0.0/8"]}`, "9 subnets are too many"},
		{"/v1/invites/cancel", `{"id": ""}`, "is no identifier of an invitation"},
		{"/v1/invites/cancel", `{"id": "00112233445566778"}`, "is no identifier of an invitation"},
		{"/v1/revoke", ``, "no node is named"},
		{"/v1/reinstate", `{}`, "no node is named"},
		{"/v1/admin", `{"grant": true}`, "no node is named"},
		{"/v1/subnets", `{"node": "boston"}`, "this is not a network"},
		{"/v1/subnets", `{"node": "boston", "subnet": "::/0"}`, "::/0 is everything"},
		{"/v1/leave", `{"forced": true}`, `unknown field \"forced\"`},
		{"/v1/root/restore", `{}`, "a root key has 32 bytes, and this has 0"},
		{"/v1/root/restore", `{"seed": "!"}`, "illegal base64"},
	} {
		status, got := get(t, socket, "POST", tt.path, tt.body)
		if status != http.StatusBadRequest || !strings.Contains(got, tt.want) {
			t.Errorf("%s %.40s: %d %s, want %s", tt.path, tt.body, status, got, tt.want)
		}
	}
	if len(b.Calls()) != 0 || len(b.Invited()) != 0 {
		t.Errorf("the node saw %v, %v", b.Calls(), b.Invited())
	}
}

func TestSeedDoesNotPrint(t *testing.T) {
	seed := controltest.Seed()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("seed", "seed", seed, "body", struct{ Seed control.Seed }{seed})
	slog.New(slog.NewTextHandler(&log, nil)).Info("call", "call", controltest.Call{Method: "RestoreRoot", Asked: seed})
	text := log.String() + fmt.Sprintf("%v %s %x %d %+v %#v", seed, seed, seed, seed, seed, seed)
	for _, secret := range []string{"7 7", "0707", "BwcH", `\x07`, "\x07"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
	if back, err := json.Marshal(seed); err != nil || !strings.HasPrefix(string(back), `"BwcH`) {
		t.Errorf("JSON is %s, %v", back, err)
	}
}
