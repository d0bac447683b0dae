package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/control"
)

// lister is a command that prints a list of the API: as a table or, in JSON, in a field.
type lister[T any] struct {
	use, short, field string

	ask   func(context.Context) ([]T, error)
	table func(items []T, now time.Time) string
	empty string // the line to print if there is none; empty: the table without rows
}

func (l lister[T]) command(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   l.use,
		Short: l.short,
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			items, err := l.ask(cmd.Context())
			switch {
			case err != nil:
				return err
			case s.json():
				return s.screen.printJSON(map[string]control.List[T]{l.field: items}, false)
			case len(items) == 0 && l.empty != "":
				return s.screen.print(l.empty + "\n")
			}
			return s.screen.print(l.table(items, time.Now()))
		},
	}
}
