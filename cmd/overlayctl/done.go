package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
)

// done prints the sentence that says what a command did and what may come next. In JSON it is the message among the
// fields of what the API answered, an object or nil.
func (s *session) done(sentence string, answer any) error {
	if !s.json() {
		return s.screen.print(clean(sentence) + "\n")
	}
	fields := map[string]any{}
	if answer != nil {
		text, err := json.Marshal(answer)
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if err := json.Unmarshal(text, &fields); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	fields["message"] = sentence
	return s.screen.printJSON(fields, false)
}

// group is a command that only has others.
func group(name, short, wanted string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("there is no command %q: %s is followed by %s", args[0], cmd.CommandPath(), wanted)
			}
			return cli.Usagef("%s is followed by %s", cmd.CommandPath(), wanted)
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
