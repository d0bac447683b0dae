package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newPaths(s *session) *cobra.Command {
	var watch, why bool
	interval := time.Second
	cmd := &cobra.Command{
		Use:   "paths [PEER]",
		Short: "Tell which way packets go to every peer, and why",
		Args:  args(0, 1, "at most one peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var q control.PathsQuery
			if len(args) == 1 {
				q.Peer = args[0]
			}
			if watch {
				if interval <= 0 {
					return cli.Usagef("--interval %s is not a time to wait: take 1s", cli.FormatDuration(interval))
				}
				return s.watchPaths(cmd, q, interval, why)
			}
			paths, err := s.client.Paths(cmd.Context(), q)
			if err != nil {
				return err
			}
			if s.json() {
				err = s.screen.printJSON(paths, false)
			} else {
				err = s.screen.print(s.pathsText(paths, why))
			}
			if err == nil && q.Peer != "" && cutOff(paths.Peers) {
				err = cli.Exit(cli.ExitNoPath, errSilent)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&watch, "watch", "w", false, "show them again and again; with -o json, one line each time")
	flags.Var((*cli.Duration)(&interval), "interval", "`time` between two looks with --watch")
	flags.BoolVar(&why, "why", false, "show every path with its state and the terms of its cost")
	return cmd
}

// cutOff reports whether no path works to any of the peers.
func cutOff(peers []control.PeerPaths) bool {
	return !slices.ContainsFunc(peers, func(p control.PeerPaths) bool { return p.State != control.StateDead })
}

func (s *session) watchPaths(cmd *cobra.Command, q control.PathsQuery, interval time.Duration, why bool) error {
	ctx := cmd.Context()
	err := s.client.Watch(ctx, q, interval, func(paths control.Paths) error {
		if s.json() {
			return s.screen.printJSON(paths, true)
		}
		head := fmt.Sprintf("%s  %s\n\n", paths.Node, paths.Time.Format(time.TimeOnly))
		tail := ""
		if s.screen.terminal == nil {
			tail = "\n"
		}
		return s.screen.print(s.screen.clear() + head + s.pathsText(paths, why) + tail)
	})
	if errors.Is(err, ctx.Err()) && ctx.Err() != nil {
		return nil // the user has seen enough
	}
	return err
}

func (s *session) pathsText(paths control.Paths, why bool) string {
	if len(paths.Peers) == 0 {
		return "no peers yet: `overlayctl invite` prints a token for the next node\n"
	}
	if !why {
		return s.pathsTable(paths)
	}
	blocks := make([]string, len(paths.Peers))
	for i, p := range paths.Peers {
		blocks[i] = s.whyText(p, paths.Time)
	}
	return strings.Join(blocks, "\n")
}

func (s *session) pathsTable(paths control.Paths) string {
	columns := []column{
		{title: "PEER"},
		{title: "STATE", style: stateStyle},
		{title: "VIA"},
		{title: "RTT", right: true},
		{title: "JITTER", right: true, drop: 5},
		{title: "LOSS OUT", right: true, drop: 1},
		{title: "LOSS IN", right: true, drop: 2},
		{title: "SINCE", right: true, drop: 3},
		{title: "SWITCHES", right: true, drop: 4},
		{title: "WHY"},
	}
	var rows [][]string
	var warnings []string
	for _, p := range paths.Peers {
		warnings = append(warnings, p.Warning)
		row := []string{p.Peer, string(p.State), none, none, none, none, none}
		if v := p.Selected; v != nil {
			row = []string{
				p.Peer, string(p.State), control.ViaString(v.Via), millis(v.RTT), millis(v.Jitter), percent(v.LossOut),
				percent(v.LossIn),
			}
		}
		rows = append(rows, append(row, age(paths.Time, p.Since), fmt.Sprint(p.Switches), p.Reason))
	}
	return s.screen.table(columns, rows) + warningText(warnings)
}

// whyText is a peer with all paths to it.
func (s *session) whyText(p control.PeerPaths, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s", p.Peer, join(p.Addresses, ", "), p.State)
	works := p.Selected != nil && (p.State == control.StateUp || p.State == control.StateSuspect)
	if works && len(p.Selected.Via) == 0 {
		b.WriteString(", direct")
	} else if works {
		b.WriteString(", via " + control.ViaString(p.Selected.Via))
	}
	if p.Reason != "" {
		b.WriteString(": " + p.Reason)
	}
	if p.Duplicating {
		b.WriteString("; packets go out on a second path as well until it is certain that this one carries them")
	}
	if p.Inbound != nil {
		fmt.Fprintf(&b, "; inbound %s", control.ViaString(*p.Inbound))
	}
	for _, rule := range p.Rules {
		if !strings.Contains(p.Reason, rule) {
			b.WriteString("; " + rule)
		}
	}
	head := s.screen.fold(clean(b.String()), 0) + "\n" + warningText([]string{p.Warning}) + classesText(p) + shadowText(p.Shadow)
	if len(p.Candidates) == 0 {
		return head
	}
	table, left := s.screen.fitted(whyColumns(), whyRows(p.Candidates, now), len(whyIndent))
	return head + s.interleave(table, p.Candidates) + left
}

func whyColumns() []column {
	return []column{
		{title: "USE"},
		{title: "VIA"},
		{title: "STATE", style: stateStyle},
		{title: "SINCE", right: true, drop: 1},
		{title: "RTT", right: true},
		{title: "JITTER", right: true, drop: 3},
		{title: "LOSS OUT", right: true},
		{title: "LOSS IN", right: true},
		{title: "COST", right: true, drop: 2},
	}
}

func whyRows(candidates []control.Candidate, now time.Time) [][]string {
	rows := make([][]string, len(candidates))
	for i, c := range candidates {
		rows[i] = []string{
			cmp.Or(string(c.Role), none), control.ViaString(c.Via), string(c.State), age(now, c.Since), millis(c.RTT),
			millis(c.Jitter), percent(c.LossOut), percent(c.LossIn), cost(c.Cost),
		}
	}
	return rows
}

// How far the table of the paths to one peer, and what stands under its rows, are indented.
const (
	whyIndent    = "  "
	detailIndent = "      "
)

// interleave indents a table and puts under each row what is too long for it: the next hop, the cost as a sum, and why
// the path is where it is.
func (s *session) interleave(table string, candidates []control.Candidate) string {
	var b strings.Builder
	row := -1 // the titles
	for line := range strings.Lines(table) {
		b.WriteString(whyIndent + line)
		if row >= 0 && row < len(candidates) {
			b.WriteString(detailIndent + s.screen.fold(clean(detail(candidates[row])), len(detailIndent)) + "\n")
		}
		row++
	}
	return b.String()
}

func detail(c control.Candidate) string {
	parts := []string{c.Endpoint}
	if c.P95RTT != nil {
		parts = append(parts, figures(c.Figures))
	}
	if len(c.Terms) > 0 {
		parts = append(parts, terms(c.Terms))
	}
	if c.Evidence != "" {
		parts = append(parts, c.Evidence)
	}
	if c.Why != "" {
		parts = append(parts, c.Why)
	}
	return strings.Join(parts, "; ")
}

// terms is a cost as the sum it is.
func terms(list []control.Term) string {
	words := make([]string, len(list))
	for i, t := range list {
		words[i] = fmt.Sprintf("%s %.1f", t.Name, t.Cost)
		if t.Why != "" {
			words[i] += " (" + t.Why + ")"
		}
	}
	return strings.Join(words, " + ")
}
