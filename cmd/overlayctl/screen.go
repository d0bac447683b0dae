package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/sys/unix"

	"overlayd/internal/cli"
)

// screen is standard output: a terminal of some width and colours, or a pipe with neither.
type screen struct {
	out      io.Writer
	terminal *os.File // nil if it is none
	columns  int      // width in cells where there is no terminal to ask; 0 for a pipe, which has no end
	colour   bool
}

func newScreen(out io.Writer, environ []string) *screen {
	s := &screen{out: out}
	if profile := colorprofile.Detect(out, environ); profile > colorprofile.NoTTY {
		s.out, s.colour = &colorprofile.Writer{Forward: out, Profile: profile}, profile > colorprofile.ASCII
	}
	if f, ok := out.(*os.File); ok {
		if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			s.terminal = f
		}
	}
	return s
}

// width is that of the terminal now, in cells.
func (s *screen) width() int {
	if s.terminal == nil {
		return s.columns
	}
	size, err := unix.IoctlGetWinsize(int(s.terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// clear empties a terminal for the next picture.
func (s *screen) clear() string {
	if s.terminal == nil {
		return ""
	}
	return "\x1b[H\x1b[2J"
}

// print writes text whole.
func (s *screen) print(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

// printJSON writes one value, indented for people unless it is one line of many.
func (s *screen) printJSON(v any, oneLine bool) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	if !oneLine {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// column is one column of a table.
type column struct {
	title string
	right bool                             // numbers stand under each other
	list  bool                             // ", " stands between what may stand on lines of its own
	drop  int                              // where the table is too wide, the highest is left out first; 0: never
	style func(cell string) lipgloss.Style // nil: plain
}

// table draws rows under titles, without lines, as a pipe to awk wants it. On a terminal it is made to fit, and says which
// columns are left out. It ends with a newline.
func (s *screen) table(columns []column, rows [][]string) string {
	text, left := s.fitted(columns, rows, 0)
	return text + left
}

// fitted is table for a terminal that is narrower by indent cells; left is the line about what is left out.
func (s *screen) fitted(columns []column, rows [][]string, indent int) (text, left string) {
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
	}
	columns, rows, dropped := fit(columns, rows, s.width()-indent)
	if len(dropped) > 0 {
		left = s.fold("(not shown, for lack of width: "+strings.Join(dropped, ", ")+"; -o json shows all)", 0) + "\n"
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	t := table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).
		BorderRight(false).BorderHeader(false).BorderColumn(false).Headers(titles...).Rows(rows...).
		StyleFunc(func(row, col int) lipgloss.Style {
			style := lipgloss.NewStyle()
			switch {
			case !s.colour:
			case row == table.HeaderRow:
				style = style.Bold(true)
			case columns[col].style != nil:
				style = columns[col].style(rows[row][col])
			}
			if columns[col].right {
				style = style.Align(lipgloss.Right)
			}
			if col < len(columns)-1 {
				style = style.PaddingRight(columnGap)
			}
			return style
		})
	return trimLines(t.Render()), left
}

// fold breaks text that does not fit beside an indent into lines that have the same one. The first is not indented here.
func (s *screen) fold(text string, indent int) string {
	room := s.width() - indent
	if room < minLast {
		return text
	}
	return strings.ReplaceAll(lipgloss.Wrap(text, room, ""), "\n", "\n"+strings.Repeat(" ", indent))
}

// trimLines takes blanks off the ends of lines.
func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
	return b.String()
}

// stateStyle colours the word of a state.
func stateStyle(cell string) lipgloss.Style {
	style := lipgloss.NewStyle()
	switch cell {
	case "up":
		return style.Foreground(lipgloss.Green)
	case "suspect":
		return style.Foreground(lipgloss.Yellow)
	case "dead":
		return style.Foreground(lipgloss.Red)
	default:
		return style.Faint(true)
	}
}

// clean is cli.Clean.
func clean(text string) string { return cli.Clean(text) }
