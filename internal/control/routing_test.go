package control_test

import (
	"net/http"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func TestJSONOfRulesHistoryAndWhatIfIsTheContract(t *testing.T) {
	_, socket, _ := client(t, &controltest.Backend{})
	for _, tt := range []struct{ name, method, path, body string }{
		{"routes", "GET", "/v1/routes", ""},
		{"history", "GET", "/v1/history?peer=boston&since=3h", ""},
		{"what-if", "GET", "/v1/what-if?cut=belmont&cut=boston", ""},
		{"routes-remove", "POST", "/v1/routes/remove", `{"ids": [7, 3]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, got := get(t, socket, tt.method, tt.path, tt.body)
			if status != http.StatusOK {
				t.Fatalf("status %d: %s", status, got)
			}
			golden(t, filepath.Join("testdata", tt.name+".json"), indent(t, got))
		})
	}
}

func TestClientMakesRules(t *testing.T) {
	b := &controltest.Backend{}
	c, _, _ := client(t, b)
	ctx := t.Context()
	routes, _ := b.Routes(ctx)
	answers(t, "routes", routes)(c.Routes(ctx))
	asked := control.RouteRequest{
		Kind: control.RoutePin, Peer: "boston", Relays: control.Via{"cambridge"}, Strict: true,
		For: control.Duration(time.Hour), Note: "line work", By: "somebody else",
	}
	result, err := c.AddRoute(ctx, asked)
	if err != nil || len(result.Routes) != 1 || result.Routes[0].ID != 8 || len(result.Replaced) != 1 {
		t.Errorf("made %+v, %v", result, err)
	}
	answers(t, "removed", routes[1:2])(c.RemoveRoute(ctx, control.RouteRemoval{IDs: []uint32{4}}))
	answers(t, "all", routes)(c.RemoveRoute(ctx, control.RouteRemoval{All: true}))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	asked.By = me.Username
	answers(t, "calls", []controltest.Call{
		{Method: "AddRoute", Asked: asked},
		{Method: "RemoveRoute", Asked: control.RouteRemoval{IDs: []uint32{4}}},
		{Method: "RemoveRoute", Asked: control.RouteRemoval{All: true}},
	})(b.Calls(), nil)
}

func TestOddRulesAreRefusedBeforeTheNodeSeesThem(t *testing.T) {
	b := &controltest.Backend{}
	_, socket, _ := client(t, b)
	for _, tt := range []struct{ path, body, want string }{
		{"/v1/routes", `{"kind": "pin", "for": "-1h"}`, "a rule lasts longer than nothing"},
		{"/v1/routes", `{"kind": "pin", "for": "900000h"}`, "at most ten years"},
		{"/v1/routes", `{"kind": "pin", "by": "root"}`, `unknown field \"by\"`},
		{"/v1/routes/remove", `{}`, "give the numbers of the rules to remove, or ask for all"},
		{"/v1/routes/remove", `{"ids": [1], "all": true}`, "give the numbers of the rules to remove, or ask for all"},
		{"/v1/routes/remove", `{"ids": [-1]}`, "cannot unmarshal"},
	} {
		status, got := get(t, socket, "POST", tt.path, tt.body)
		if status != http.StatusBadRequest || !strings.Contains(got, tt.want) {
			t.Errorf("%s %.40s: %d %s, want %s", tt.path, tt.body, status, got, tt.want)
		}
	}
	if len(b.Calls()) != 0 {
		t.Errorf("the node saw %v", b.Calls())
	}
}
