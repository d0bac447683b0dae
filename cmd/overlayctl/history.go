package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newHistory(s *session) *cobra.Command {
	q := control.HistoryQuery{Most: control.DefaultEvents}
	cmd := &cobra.Command{
		Use:   "history [PEER]",
		Short: "Tell what happened to paths, and why",
		Args:  args(0, 1, "at most one peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Peer = args[0]
			}
			switch {
			case cmd.Flags().Changed("since") && q.Since <= 0:
				return cli.Usagef("--since %s is not a time to look back: take 2h", cli.FormatDuration(q.Since))
			case q.Most < 1 || q.Most > control.MaxEvents:
				return cli.Usagef("--last %d is not a number of events: take 1 to %d", q.Most, control.MaxEvents)
			}
			h, err := s.client.History(cmd.Context(), q)
			if err != nil {
				return err
			}
			if s.json() {
				return s.screen.printJSON(h, false)
			}
			return s.screen.print(s.historyText(h, q, time.Local))
		},
	}
	flags := cmd.Flags()
	flags.Var((*cli.Duration)(&q.Since), "since", "`time` to look back, such as 2h or 1d; without it, as far as the journal goes")
	flags.IntVarP(&q.Most, "last", "n", q.Most, "`number` of events, the newest")
	return cmd
}

func (s *session) historyText(h control.History, q control.HistoryQuery, zone *time.Location) string {
	if len(h.Events) == 0 {
		text := "the journal of " + h.Node + " has nothing"
		if q.Peer != "" {
			text += " about " + q.Peer
		}
		if q.Since > 0 {
			text += " in the last " + short(q.Since)
		}
		return clean(text) + "\n"
	}
	columns := []column{{title: "TIME"}, {title: "EVENT"}, {title: "PEER"}, {title: "FROM", drop: 1}, {title: "TO"}, {title: "WHY"}}
	var rows [][]string
	for _, e := range h.Events {
		rows = append(rows, []string{
			e.Time.In(zone).Format(time.DateTime), string(e.Kind), cmp.Or(e.Peer, none), pastPath(e.From), pastPath(e.To), why(e),
		})
	}
	text := s.screen.table(columns, rows)
	if h.More {
		text += fmt.Sprintf("there are older ones: `overlayctl history --last N` shows up to %d\n", control.MaxEvents)
	}
	return text
}

func pastPath(p *control.PastPath) string {
	if p == nil {
		return none
	}
	words := []string{control.ViaString(p.Via)}
	if at, err := netip.ParseAddrPort(p.Endpoint); err == nil && len(p.Via) == 0 {
		words = append(words, at.Addr().String())
	}
	if p.State != "" {
		words = append(words, string(p.State))
	}
	if p.RTT != nil {
		words = append(words, millis(p.RTT))
	}
	text := strings.Join(words, " ")
	if p.Loss != nil && *p.Loss > 0 {
		text += ", " + percent(p.Loss) + " lost"
	}
	return text
}

func why(e control.Event) string {
	var words []string
	switch {
	case e.Count > 0:
		words = append(words, fmt.Sprintf("%d events are missing", e.Count))
	case e.Class != "":
		words = append(words, e.Class+" traffic")
	}
	if e.Kind == control.EventRule || e.Kind == control.EventPeer {
		words = append(words, e.Code)
	}
	if e.Reason != "" {
		words = append(words, e.Reason)
	}
	return cmp.Or(strings.Join(words, ": "), none)
}
