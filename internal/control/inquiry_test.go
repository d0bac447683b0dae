package control_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func TestClientReadsTheHistory(t *testing.T) {
	b := &controltest.Backend{}
	c, _, _ := client(t, b)
	q := control.HistoryQuery{Peer: "boston", Since: 90 * time.Minute, Most: 7}
	want, _ := b.History(t.Context(), q)
	answers(t, "history", want)(c.History(t.Context(), q))
	if _, err := c.History(t.Context(), control.HistoryQuery{}); err != nil {
		t.Fatal(err)
	}
	answers(t, "calls", []controltest.Call{
		{Method: "History", Asked: q},
		{Method: "History", Asked: q},
		{Method: "History", Asked: control.HistoryQuery{Most: control.DefaultEvents}},
	})(b.Calls(), nil)
}

func TestClientAsksWhatIf(t *testing.T) {
	b := &controltest.Backend{}
	c, _, _ := client(t, b)
	for _, q := range []control.WhatIfQuery{{Down: "cambridge"}, {Cut: [2]string{"belmont", "boston"}}} {
		want, _ := b.WhatIf(t.Context(), q)
		answers(t, "what if", want)(c.WhatIf(t.Context(), q))
		calls := b.Calls()
		answers(t, "asked", q)(calls[len(calls)-1].Asked.(control.WhatIfQuery), nil)
	}
}

func TestOddQuestionsAreRefusedBeforeTheNodeSeesThem(t *testing.T) {
	b := &controltest.Backend{}
	_, socket, _ := client(t, b)
	for path, want := range map[string]string{
		"/v1/history?since=soon":         `since=\"soon\" is no time such as 2h`,
		"/v1/history?since=-2h":          `since=\"-2h\" is no time such as 2h`,
		"/v1/history?most=0":             `most=\"0\" is no number of events: take 1 to 10000`,
		"/v1/history?most=1000000":       `is no number of events`,
		"/v1/history?most=all":           `is no number of events`,
		"/v1/what-if":                    `name either a node that is down, or the two ends of a link`,
		"/v1/what-if?down=":              `name either a node that is down, or the two ends of a link`,
		"/v1/what-if?cut=a":              `name either a node that is down, or the two ends of a link`,
		"/v1/what-if?cut=a&cut=":         `name either a node that is down, or the two ends of a link`,
		"/v1/what-if?cut=a&cut=b&down=c": `name either a node that is down, or the two ends of a link`,
	} {
		status, got := get(t, socket, "GET", path, "")
		if status != http.StatusBadRequest || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s, want %s", path, status, got, want)
		}
	}
	if len(b.Calls()) != 0 {
		t.Errorf("the node saw %v", b.Calls())
	}
}
