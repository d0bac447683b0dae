package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"overlayd/internal/control"
)

// TestTablesFitTheTerminal prints every table with long values, at several widths.
func TestTablesFitTheTerminal(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	addresses := control.List[netip.Addr]{netip.MustParseAddr("10.71.200.103"), netip.MustParseAddr("fd54:1ec6:5c3c:d193:6c18:1a2:fc22:a1ae")}
	endpoints := control.List[netip.AddrPort]{
		netip.MustParseAddrPort("203.0.113.107:51871"), netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5678]:51871"),
	}
	subnets := control.List[netip.Prefix]{netip.MustParsePrefix("192.168.108.0/24"), netip.MustParsePrefix("192.168.109.0/24")}
	via := control.Via{"cambridge-harvard", "newton"}
	path := control.Path{
		Via: via, Endpoint: endpoints[1].String(), RTT: control.MillisOf(123400 * time.Microsecond), Jitter: control.MillisOf(12300 * time.Microsecond),
		LossOut: control.FractionOf(0.123), LossIn: control.FractionOf(0.987), Cost: control.CostOf(1234.5),
	}
	why := "direct path dead: 4 probes unanswered, and the relays that it was compared with are more loaded than this one"
	peer := control.PeerPaths{
		Peer: "boston-back-bay", Addresses: addresses, State: control.StateSuspect, Selected: &path, Reason: why, Since: now.Add(-100 * time.Hour),
		Switches: 1234, Candidates: control.List[control.Candidate]{{Path: path, State: control.StateSuspect, Role: control.RoleSelected, Why: why}},
	}
	member := control.Member{
		Name: "boston-back-bay", Addresses: addresses, State: control.StateSuspect, Admin: true, RelayPolicy: "auto", Ceiling: 20_000_000,
		Subnets: subnets, Carries: subnets, Labels: control.Labels{"site": "boston", "provider": "comcast"}, Issuer: "cambridge", Expires: now.Add(90 * 24 * time.Hour),
		Conflict: "another node claims the same address, and is the elder of both",
	}
	plain := member
	plain.Subnets, plain.Carries, plain.Labels, plain.Conflict = nil, nil, nil, ""
	tables := map[string]func(s *session) string{
		"what-if": func(s *session) string {
			return s.whatIfText(control.WhatIf{Node: "belmont", Peers: control.List[control.Outlook]{{Peer: "boston-back-bay", Now: &path, Then: &path, Why: why}}})
		},
		"paths": func(s *session) string {
			return s.pathsText(control.Paths{Time: now, Peers: control.List[control.PeerPaths]{peer}}, false)
		},
		"members": func(s *session) string { return s.membersTable([]control.Member{member, plain}, now) },
		"plain":   func(s *session) string { return s.membersTable([]control.Member{plain}, now) },
		"peers": func(s *session) string {
			return s.peersTable([]control.Peer{{
				Name: "boston-back-bay", State: control.StateSuspect, Addresses: addresses, Endpoints: endpoints, LastHeard: now, Handshake: now,
				RxBytes: 1 << 40, TxBytes: 1 << 41,
			}}, now)
		},
		"invites": func(s *session) string {
			return s.invitesTable([]control.Invite{{ID: "0123456789abcdef", Name: "boston-back-bay", Uses: 1000, By: "cambridge", Subnets: subnets, Expires: now.Add(time.Hour)}}, now)
		},
		"revoked": func(s *session) string {
			return s.revokedTable([]control.Revoked{{ID: strings.Repeat("0123456789abcdef", 2), Name: "boston-back-bay", By: "cambridge", Since: now}}, now)
		},
		"routes": func(s *session) string {
			return s.routesTable([]control.Route{{ID: 12, Peer: "boston-back-bay", What: "pin via cambridge-harvard → newton, even if that cuts it off", By: "root", Created: now, Expires: now, Note: why}}, now)
		},
		"history": func(s *session) string {
			past := &control.PastPath{Via: via, State: control.StateDead, RTT: path.RTT, Loss: path.LossOut}
			h := control.History{Events: control.List[control.Event]{{Time: now, Kind: "switched", Peer: "boston-back-bay", From: past, To: past, Reason: why}}}
			return s.historyText(h, control.HistoryQuery{}, time.UTC)
		},
	}
	for name, table := range tables {
		var widest string
		for _, columns := range []int{0, 160, 120, 100, 80} {
			s := &session{screen: &screen{columns: columns}}
			text := table(s)
			if columns == 0 {
				widest = text
				if strings.Count(text, "\n") > 3 || strings.Contains(text, "not shown") {
					t.Errorf("%s: a pipe has no width:\n%s", name, text)
				}
				continue
			}
			for line := range strings.Lines(text) {
				if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > columns {
					t.Errorf("%s: a line of %d cells in %d:\n%s", name, w, columns, text)
					break
				}
			}
			if missing := leftOut(widest, text); len(missing) > 0 && !strings.Contains(text, "not shown") && name != "plain" {
				t.Errorf("%s: %v are not shown in %d cells, without a word:\n%s", name, missing, columns, text)
			}
			if !strings.Contains(text, "boston") {
				t.Errorf("%s: the name is left out in %d cells:\n%s", name, columns, text)
			}
		}
	}
	s := &session{screen: &screen{columns: 80}}
	members := make([]control.Member, 40)
	for i := range members {
		members[i] = member
	}
	for line := range strings.Lines(s.statusText(control.Status{Node: "belmont", Addresses: addresses, Endpoints: endpoints, Members: members})) {
		if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > 80 {
			t.Errorf("status: a line of %d cells: %s", w, line)
		}
	}
	for line := range strings.Lines(s.whyText(peer, now)) {
		if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > 80 {
			t.Errorf("paths --why: a line of %d cells: %s", w, line)
		}
	}
}

// leftOut are the titles of one table that another one has not.
func leftOut(all, some string) (list []string) {
	first := func(text string) []string { line, _, _ := strings.Cut(text, "\n"); return strings.Fields(line) }
	for _, word := range first(all) {
		if !strings.Contains(fmt.Sprint(first(some)), word) {
			list = append(list, word)
		}
	}
	return list
}
