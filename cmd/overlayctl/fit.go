package main

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
)

// How a table is made to fit a terminal, in this order, until it does: columns in which nothing stands are left out; lists
// are broken at their commas; columns are left out, the one with the highest drop first; what is widest is folded, and the last column.

const (
	columnGap = 2
	minLast   = 24 // cells below which the last column is not folded
	minText   = 10 // and the others
)

// fit returns what of a table fits into room cells, and the titles of the columns that hold something and are left out.
// Without room the table has no bound.
func fit(columns []column, rows [][]string, room int) (shown []column, cells [][]string, left []string) {
	if room <= 0 {
		return columns, rows, nil
	}
	for i := len(columns) - 1; i > 0 && width(columns, rows) > room; i-- {
		if columns[i].drop > 0 && unfilled(rows, i) {
			columns, rows = without(columns, rows, i)
		}
	}
	for i, c := range columns {
		if c.list && width(columns, rows) > room {
			for _, row := range rows {
				row[i] = strings.ReplaceAll(row[i], ", ", ",\n")
			}
		}
	}
	for width(columns, rows) > room {
		i := 0
		for at, c := range columns {
			if c.drop > columns[i].drop {
				i = at
			}
		}
		if columns[i].drop == 0 {
			break
		}
		left = append(left, columns[i].title)
		columns, rows = without(columns, rows, i)
	}
	for excess := width(columns, rows) - room; excess > 0; excess = width(columns, rows) - room {
		if !narrow(columns, rows, excess) {
			break
		}
	}
	last := len(columns) - 1
	for _, i := range widths(columns[:last], rows) {
		room -= i + columnGap
	}
	if room >= minLast && !columns[last].right {
		for _, row := range rows {
			row[last] = lipgloss.Wrap(row[last], room, "")
		}
	}
	return columns, rows, left
}

// narrow folds the widest column of text but the last by some cells, and reports whether it could.
func narrow(columns []column, rows [][]string, cells int) bool {
	all := widths(columns, rows)
	widest := 0
	for i, w := range all[:len(all)-1] {
		if !columns[i].right && w > all[widest] {
			widest = i
		}
	}
	to := max(all[widest]-cells, minText, lipgloss.Width(columns[widest].title))
	if to >= all[widest] {
		return false
	}
	for _, row := range rows {
		row[widest] = lipgloss.Wrap(row[widest], to, "")
	}
	return true
}

// width is what a table needs at least: of the last column, if it can be folded, no more than minLast.
func width(columns []column, rows [][]string) int {
	all := widths(columns, rows)
	sum := columnGap * (len(all) - 1)
	for i, w := range all {
		if i == len(all)-1 && !columns[i].right && !columns[i].list {
			w = min(w, minLast)
		}
		sum += w
	}
	return sum
}

func widths(columns []column, rows [][]string) []int {
	list := make([]int, len(columns))
	for i, c := range columns {
		list[i] = lipgloss.Width(c.title)
		for _, row := range rows {
			list[i] = max(list[i], lipgloss.Width(row[i]))
		}
	}
	return list
}

func unfilled(rows [][]string, column int) bool {
	return !slices.ContainsFunc(rows, func(row []string) bool { return row[column] != none && row[column] != "" })
}

func without(columns []column, rows [][]string, i int) ([]column, [][]string) {
	columns = slices.Delete(slices.Clone(columns), i, i+1)
	for at := range rows {
		rows[at] = slices.Delete(rows[at], i, i+1)
	}
	return columns, rows
}
