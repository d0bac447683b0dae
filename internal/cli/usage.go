package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	helpWidth  = 80 // cells of a line of help
	helpColumn = 28 // where descriptions begin, unless all names are shorter
)

// SetUsage makes a command and those under it print their usage in lines of at most 80 cells.
func SetUsage(root *cobra.Command) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprint(cmd.OutOrStderr(), usage(cmd))
		return err
	})
}

func usage(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() || cmd.HasParent() && cmd.Runnable() {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", cmd.CommandPath())
		var rows [][2]string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				rows = append(rows, [2]string{"  " + sub.Name(), sub.Short})
			}
		}
		b.WriteString("\nCommands:\n" + described(rows))
	}
	if rows := flagRows(cmd.LocalFlags()); len(rows) > 0 {
		b.WriteString("\nFlags:\n" + described(rows))
	}
	if rows := flagRows(cmd.InheritedFlags()); len(rows) > 0 {
		b.WriteString("\nFlags of all commands:\n" + described(rows))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help describes a command.\n", cmd.CommandPath())
	}
	return b.String()
}

// flagRows are the flags of a set with what they are for.
func flagRows(set *pflag.FlagSet) (rows [][2]string) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		form, text := pflag.UnquoteUsage(f)
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		if f.Value.Type() != "bool" {
			name += " " + form
			if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "0" {
				text += " (default " + f.DefValue + ")"
			}
		}
		rows = append(rows, [2]string{name, text})
	})
	return rows
}

// described sets descriptions under each other beside names; a name that is too long has its description below.
func described(rows [][2]string) string {
	column := 0
	for _, row := range rows {
		column = max(column, utf8.RuneCountInString(row[0])+2)
	}
	column = min(column, helpColumn)
	indent := "\n" + strings.Repeat(" ", column)
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(row[0])
		if length := utf8.RuneCountInString(row[0]); length+2 > column {
			b.WriteString(indent)
		} else {
			b.WriteString(strings.Repeat(" ", column-length))
		}
		b.WriteString(strings.Join(wrap(row[1], helpWidth-column), indent) + "\n")
	}
	return b.String()
}

// wrap breaks text between words into lines of at most some cells, but for words that are longer.
func wrap(text string, cells int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > cells {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
