package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

func TestHistoryTellsWhatHappenedAndWhy(t *testing.T) {
	s := &session{screen: newScreen(nil, nil)}
	q := control.HistoryQuery{Most: 10}
	h, _ := (&controltest.Backend{}).History(t.Context(), q)
	want := `TIME                 EVENT    PEER    FROM                    TO                          WHY
2026-11-22 10:00:00  start    -       -                       -                           v1
2026-11-23 10:00:00  rule     boston  -                       -                           made: cambridge preferred (rule 5 by root)
2026-11-23 11:58:24  path     boston  direct 198.51.100.3 up  direct 198.51.100.3 dead              4 probes unanswered
2026-11-23 11:58:25  switch   boston  direct 40.0 ms, 3.1% lost  newton → cambridge 21.4 ms  bulk traffic: direct path dead: 4 probes unanswered
2026-11-23 11:59:00  dropped  -       -                       -                           7 events are missing: the disk was too slow, or refused
`
	if got := s.historyText(h, q, time.UTC); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	q.Most = 1
	h, _ = (&controltest.Backend{}).History(t.Context(), q)
	if got := s.historyText(h, q, time.UTC); strings.Count(got, "\n") != 3 || !strings.Contains(got, "`overlayctl history --last N`") {
		t.Errorf("printed\n%s", got)
	}
}

func TestHistoryAsksForWhatTheUserWants(t *testing.T) {
	b := &controltest.Backend{}
	_, stdout, _ := ctl(t, b, "history", "boston", "--since", "2h", "-n", "2", "-o", "json")
	var got control.History
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Events) != 2 || !got.More || got.Events[1].Kind != control.EventSwitch {
		t.Errorf("%v in %s", err, stdout)
	}
	prints(t, b, "the journal of belmont has nothing in the last 1s\n", "history", "--since", "1s")
	same(t, b.Calls(), []controltest.Call{
		{Method: "History", Asked: control.HistoryQuery{Peer: "boston", Since: 2 * time.Hour, Most: 2}},
		{Method: "History", Asked: control.HistoryQuery{Since: time.Second, Most: control.DefaultEvents}},
	})
	for want, args := range map[string][]string{
		"--since 0s is not a time to look back: take 2h":                       {"history", "--since", "0s"},
		"--last 0 is not a number of events: take 1 to 10000":                  {"history", "-n", "0"},
		"overlayctl history takes at most one peer, and was given 2 arguments": {"history", "a", "b"},
	} {
		if status, stdout, stderr := ctl(t, b, args...); status != cli.ExitUsage || stdout != "" || stderr != "overlayctl: "+want+"\n" {
			t.Errorf("%v: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
	if _, _, stderr := ctl(t, b, "history", "paris"); stderr != "overlayctl: no such peer as \"paris\"\n" {
		t.Errorf("of nobody: %q", stderr)
	}
}

func TestTimesAreTakenAsTheyArePrinted(t *testing.T) {
	b := &controltest.Backend{}
	q := control.History{Node: "belmont"}
	if got := (&session{screen: &screen{}}).historyText(q, control.HistoryQuery{Since: 90*24*time.Hour - time.Hour}, time.UTC); !strings.Contains(got, "89d23h") {
		t.Errorf("printed %s", got)
	}
	if status, _, stderr := ctl(t, b, "history", "--since", "89d23h"); status != 0 {
		t.Errorf("not taken as it is printed: %s", stderr)
	}
	if status, _, stderr := ctl(t, b, "invite", "--ttl", "1d12h"); status != 0 {
		t.Errorf("not taken as it is printed: %s", stderr)
	}
}
