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
				text = fmt.Sprintf("moved everything in %s to %s: this node was %s, and is not a member of a network now", path, to, what)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\njoin a network with overlayd join --token-file FILE --name NODE%[2]s, or create one with overlayd init --name NODE%[2]s\n",
				text, stateFlag(path))
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addStateFlag(cmd.Flags(), &path)
	return cmd
}

// describe says where the node of a state directory stands, after "this node is".
func describe(dir *state.Dir) string {
	m, err := dir.Network()
	switch {
	case errors.Is(err, state.ErrAbsent):
		return "not a member of a network"
	case err != nil:
		return "one whose state is damaged"
	}
	text := "a member of the network " + m.Network.Name
	if names, err := others(dir, m, time.Now()); err == nil && len(names) == 0 {
		text = "the only member of the network " + m.Network.Name
	} else {
		text += ", which lists it until another member runs overlayctl revoke"
	}
	if _, err := dir.RootKey(); err == nil {
		text += ", with the root key"
	}
	return text
}

// confirm asks at a terminal.
func confirm(in io.Reader, out io.Writer, what string) error {
	f, ok := in.(*os.File)
	if !ok || !isTerminal(f) {
		return cli.Usagef("overlayd reset gives up this node's network and identity, and this node is %s: run it with --yes", what)
	}
	_, _ = fmt.Fprintf(out, "This node is %s. Give up its network and identity? A backup is kept. Type yes: ", what)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
