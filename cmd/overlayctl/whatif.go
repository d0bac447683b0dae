package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newWhatIf(s *session) *cobra.Command {
	var q control.WhatIfQuery
	var cut string
	cmd := &cobra.Command{
		Use:   "what-if --down NODE | --cut NODE,NODE",
		Short: "Tell which way packets would go without a node or a link",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (q.Down != "") == (cut != "") {
				return cli.Usagef("say what is to be missing: either --down with a node, or --cut with the two ends of a link")
			}
			if cut != "" {
				a, b, _ := strings.Cut(cut, ",")
				q.Cut = [2]string{strings.TrimSpace(a), strings.TrimSpace(b)}
				if q.Cut[0] == "" || q.Cut[1] == "" || strings.Contains(b, ",") {
					return cli.Usagef("--cut %q is not two nodes with a comma between them, such as belmont,boston", cut)
				}
			}
			v, err := s.client.WhatIf(cmd.Context(), q)
			if err != nil {
				return err
			}
			if s.json() {
				return s.screen.printJSON(v, false)
			}
			return s.screen.print(s.whatIfText(v))
		},
	}
	cmd.Flags().StringVar(&q.Down, "down", "", "the `node` that is missing")
	cmd.Flags().StringVar(&cut, "cut", "", "the two `nodes` between which the direct link is missing; this one may be one of them")
	return cmd
}

func (s *session) whatIfText(v control.WhatIf) string {
	if len(v.Peers) == 0 {
		return clean(v.Node) + " is in contact with nobody, so nothing would change\n"
	}
	columns := []column{
		{title: "PEER"},
		{title: "NOW VIA"},
		{title: "RTT", right: true},
		{title: "THEN VIA"},
		{title: "RTT", right: true},
		{title: "WHY"},
	}
	count := map[control.Outcome]int{}
	var rows [][]string
	for _, p := range v.Peers {
		count[p.Outcome]++
		row := []string{p.Peer, "nothing", none, outcome(p.Outcome), none, p.Why}
		if p.Now != nil {
			row[1], row[2] = control.ViaString(p.Now.Via), millis(p.Now.RTT)
		}
		if p.Then != nil {
			row[3], row[4] = control.ViaString(p.Then.Via), millis(p.Then.RTT)
		}
		rows = append(rows, row)
	}
	return s.screen.table(columns, rows) + fmt.Sprintf("%d of %d stay, %d move, %d would have to search, %d are cut off\n",
		count[control.OutcomeStays], len(v.Peers), count[control.OutcomeMoves], count[control.OutcomeSearch],
		count[control.OutcomeCutOff])
}

// outcome stands in the place of a path where there is none.
func outcome(o control.Outcome) string {
	switch o {
	case control.OutcomeCutOff:
		return "cut off"
	case control.OutcomeSearch:
		return "to be found"
	default:
		return string(o)
	}
}
