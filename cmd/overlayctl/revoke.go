package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/control"
)

func newRevoke(s *session) *cobra.Command {
	var r control.RevokeRequest
	cmd := &cobra.Command{
		Use:   "revoke NODE",
		Short: "Put a node out of the network",
		Args:  args(1, 1, "one node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Node = args[0]
			result, err := s.client.Revoke(cmd.Context(), r)
			if err != nil {
				return err
			}
			what := "is out"
			if r.Annul {
				what = "is out, and what it signed is void"
			}
			return s.done(fmt.Sprintf("%s (%s) %s, by the word of %s: the others drop it as they hear of it; "+
				"`overlayctl reinstate %s` takes it back where the root key is", result.Node, result.ID, what, result.By,
				cmp.Or(result.Node, result.ID)), result)
		},
	}
	cmd.Flags().BoolVar(&r.Annul, "annul", false, "also void all that this admin signed, such as the nodes that it let in; "+
		"needs the root key")
	return cmd
}

func newReinstate(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "reinstate NODE",
		Short: "Take a node back that was put out; needs the root key",
		Args:  args(1, 1, "one node, by name or identifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := s.client.Reinstate(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.done(fmt.Sprintf("%s (%s) is a member again, by the word of %s: the others talk to it as they hear of it, "+
				"and `overlayctl members` shows it", result.Node, result.ID, result.By), result)
		},
	}
}

func newRevoked(s *session) *cobra.Command {
	return lister[control.Revoked]{
		use: "revoked", short: "List the nodes that were put out or left", field: "revoked",
		ask:   func(ctx context.Context) ([]control.Revoked, error) { return s.client.Revoked(ctx) },
		table: s.revokedTable,
		empty: "no node was put out, and none has left",
	}.command(s)
}

func (s *session) revokedTable(revoked []control.Revoked, now time.Time) string {
	columns := []column{{title: "NODE"}, {title: "HOW"}, {title: "BY"}, {title: "SINCE", right: true}, {title: "ID"}}
	var rows [][]string
	for _, r := range revoked {
		how := "revoked"
		if r.Left {
			how = "left"
		}
		rows = append(rows, []string{cmp.Or(r.Name, none), how, r.By, age(now, r.Since), r.ID})
	}
	return s.screen.table(columns, rows)
}

func newLeave(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Leave the network for good, and stop the daemon",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := s.untilItEnds(cmd.Context(), func() error { return s.client.Leave(cmd.Context(), force) })
			if err != nil {
				return err
			}
			return s.done(fmt.Sprintf("%s has left %s, and its daemon has stopped: only a new invitation brings it back, "+
				"with `sudo overlayd join - --name %s`", status.Node, status.Network, status.Node), nil)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if this node holds the root key or is the only admin")
	return cmd
}
