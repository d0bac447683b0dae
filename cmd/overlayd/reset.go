package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/state"
)

func newReset() *cobra.Command {
	var path string
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Give up this node's network and identity; a backup is kept",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := state.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = dir.Close() }()
			what := describe(dir)
			if !yes {
				if err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), what); err != nil {
					return err
				}
			}
			to, err := dir.SetAside(time.Now())
			if err != nil {
				return err
			}
			text := "there was nothing in " + path
			if to != "" {
				text = fmt.Sprintf("%s: all of it is in %s now, and this node is in no network", what, to)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\nenter a network with overlayd join --token-file FILE --name NODE%[2]s, or make one with overlayd init --name NODE%[2]s\n",
				text, stateFlag(path))
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addStateFlag(cmd.Flags(), &path)
	return cmd
}

// describe says what a state directory holds.
func describe(dir *state.Dir) string {
	m, err := dir.Network()
	switch {
	case errors.Is(err, state.ErrAbsent):
		return "this node was in no network"
	case err != nil:
		return "the state of this node was damaged"
	}
	text := "this node was in the network " + m.Network.Name
	if names, err := others(dir, m, time.Now()); err == nil && len(names) == 0 {
		text += ", of which it was the only member"
	} else {
		text += ", whose members list it until one of them runs overlayctl revoke"
	}
	if _, err := dir.RootKey(); err == nil {
		text += ", and held the root key"
	}
	return text
}

// confirm asks at a terminal.
func confirm(in io.Reader, out io.Writer, what string) error {
	f, ok := in.(*os.File)
	if !ok || !isTerminal(f) {
		return cli.Usagef("overlayd reset gives up this node's network and identity (%s): run it with --yes", what)
	}
	_, _ = fmt.Fprintf(out, "%s. Give up its network and identity? A backup is kept. Type yes: ", what)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
