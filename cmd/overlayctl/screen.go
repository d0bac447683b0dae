package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/sys/unix"
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
	style func(cell string) lipgloss.Style // nil: plain
}

const (
	columnGap = 2
	minLast   = 16 // cells below which the last column is not folded: the terminal does it as well
)

// table draws rows under titles, without lines, as a pipe to awk wants it. What is too wide for a terminal is folded in
// the last column. It ends with a newline.
func (s *screen) table(columns []column, rows [][]string) string {
	titles := make([]string, len(columns))
	widths := make([]int, len(columns))
	for i, c := range columns {
		titles[i], widths[i] = c.title, lipgloss.Width(c.title)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	s.foldLast(rows, widths)
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
	return trimLines(t.Render())
}

// foldLast breaks the last cell of every row into lines where a terminal would.
func (s *screen) foldLast(rows [][]string, widths []int) {
	last := len(widths) - 1
	room := s.width()
	for _, w := range widths[:last] {
		room -= w + columnGap
	}
	if room < minLast {
		return
	}
	for _, row := range rows {
		row[last] = lipgloss.Wrap(row[last], room, "")
	}
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

// clean takes control characters out of what other nodes may have chosen.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}
