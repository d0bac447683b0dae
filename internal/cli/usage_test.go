package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestHelpFitsAndIsAligned(t *testing.T) {
	var text, form string
	var on bool
	d := Duration(90 * time.Minute)
	root := &cobra.Command{Use: "tool", Short: "A tool"}
	sub := &cobra.Command{Use: "do THING…", Short: "Do a thing", Run: func(*cobra.Command, []string) {}}
	root.PersistentFlags().StringVar(&text, "socket", "/run/tool.sock", "`path` of the socket")
	sub.Flags().StringVar(&form, "subnet", "", "`network,…` that newcomers may have, such as 192.168.7.0/24, and much more that does not fit into one line")
	sub.Flags().StringVar(&form, "a-very-long-name-of-a-flag", "", "`auto|always|never`: what it is for")
	sub.Flags().BoolVarP(&on, "why", "w", false, "say why")
	sub.Flags().Var(&d, "ttl", "`time` that it lasts")
	root.AddCommand(sub)
	SetUsage(root)
	for args, want := range map[string]string{
		"--help": `A tool

Usage:
  tool COMMAND

Commands:
  completion  Generate the autocompletion script for the specified shell
  do          Do a thing

Flags:
  -h, --help         help for tool
      --socket path  path of the socket (default /run/tool.sock)

tool COMMAND --help describes a command.
`,
		"do --help": `Do a thing

Usage:
  tool do THING… [flags]

Flags:
      --a-very-long-name-of-a-flag auto|always|never
                            auto|always|never: what it is for
  -h, --help                help for do
      --subnet network,…    network,… that newcomers may have, such as
                            192.168.7.0/24, and much more that does not fit into
                            one line
      --ttl time            time that it lasts (default 1h30m)
  -w, --why                 say why

Flags of all commands:
      --socket path  path of the socket (default /run/tool.sock)
`,
	} {
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(strings.Fields(args))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want {
			t.Errorf("%s printed\n%s\nwant\n%s", args, got, want)
		}
	}
}
