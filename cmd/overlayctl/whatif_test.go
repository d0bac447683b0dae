package main

import (
	"encoding/json"
	"testing"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func TestWhatIfTellsWhereEverybodyWouldGo(t *testing.T) {
	prints(t, &controltest.Backend{}, `
PEER       NOW VIA      RTT  THEN VIA         RTT  WHY
boston     direct   40.0 ms  newton       21.4 ms  the cheapest of 2 that are left
cambridge  direct   40.0 ms  down               -  it is the node that is missing
lowell     nothing        -  dead               -  no path works now
newton     direct   40.0 ms  direct       40.0 ms  its path is not concerned
quincy     direct   40.0 ms  to be found        -  newton would be asked to relay
salem      direct   40.0 ms  cut off            -  no path is left
1 of 6 stay, 1 move, 1 would have to search, 1 are cut off
`, "what-if", "--down", "cambridge")
}

func TestWhatIfAsksForWhatTheUserWants(t *testing.T) {
	b := &controltest.Backend{}
	_, stdout, _ := ctl(t, b, "what-if", "--cut", "belmont, boston", "-o", "json")
	var got control.WhatIf
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Peers) != 6 || len(got.Cut) != 2 {
		t.Errorf("%v in %s", err, stdout)
	}
	same(t, b.Calls(), []controltest.Call{
		{Method: "WhatIf", Asked: control.WhatIfQuery{Cut: [2]string{"belmont", "boston"}}},
	})
	const neither = "say what is to be missing: either --down with a node, or --cut with the two ends of a link"
	for _, tt := range []struct {
		want string
		args []string
	}{
		{neither, []string{"what-if"}},
		{neither, []string{"what-if", "--down", "a", "--cut", "a,b"}},
		{`--cut "a" is not two nodes with a comma between them, such as belmont,boston`, []string{"what-if", "--cut", "a"}},
		{`--cut "a,b,c" is not two nodes with a comma between them, such as belmont,boston`, []string{"what-if", "--cut", "a,b,c"}},
		{"overlayctl what-if takes no argument, and was given 1 arguments", []string{"what-if", "boston"}},
	} {
		if status, stdout, stderr := ctl(t, b, tt.args...); status != cli.ExitUsage || stdout != "" || stderr != "overlayctl: "+tt.want+"\n" {
			t.Errorf("%v: status %d, %q, %q", tt.args, status, stdout, stderr)
		}
	}
	s := &session{screen: newScreen(nil, nil)}
	if got := s.whatIfText(control.WhatIf{Node: "belmont"}); got != "belmont is in contact with nobody, so nothing would change\n" {
		t.Errorf("printed %q", got)
	}
}
