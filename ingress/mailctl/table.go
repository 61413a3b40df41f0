package mailctl

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// gap is the number of cells between two columns.
const gap = 2

// column is one column of a table that fits a terminal.
type column struct {
	title string
	// least is the width in cells below which the column is not shortened; 0 where it is
	// never shortened.
	least int
	// keep orders the columns: of too many, those with the smallest go first, and 0 stays.
	keep  int
	cells []string
}

// widest returns how many cells the longest text of the column takes.
func (c *column) widest() int {
	out := cellsOf(c.title)
	for _, text := range c.cells {
		out = max(out, cellsOf(text))
	}
	return out
}

// render returns the lines of a table, none wider than limit; a limit of 0 means that
// there is none. It shortens the widest texts first, and leaves out columns where that is
// not enough.
func render(columns []column, limit int) string {
	widths := make([]int, len(columns))
	for {
		for i := range columns {
			widths[i] = columns[i].widest()
		}
		if limit <= 0 || shrink(columns, widths, limit) {
			break
		}
		last := leastWanted(columns)
		if last < 0 {
			break
		}
		columns, widths = slices.Delete(slices.Clone(columns), last, last+1), widths[1:]
	}

	var out strings.Builder
	rows := 0
	if len(columns) > 0 {
		rows = len(columns[0].cells)
	}
	for row := -1; row < rows; row++ {
		line := ""
		for i, c := range columns {
			text := c.title
			if row >= 0 {
				text = c.cells[row]
			}
			text = shorten(text, widths[i])
			if i > 0 {
				line += strings.Repeat(" ", gap)
			}
			line += text + strings.Repeat(" ", widths[i]-cellsOf(text))
		}
		line = strings.TrimRight(line, " ")
		if limit > 0 {
			line = shorten(line, limit)
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// shrink takes cells from the widest columns until all fit into limit, and reports
// whether they do.
func shrink(columns []column, widths []int, limit int) bool {
	total := gap * (len(columns) - 1)
	for _, w := range widths {
		total += w
	}

	for total > limit {
		widest := -1
		for i, c := range columns {
			if c.least > 0 && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
		total--
	}
	return true
}

// leastWanted returns the column to leave out next, or -1.
func leastWanted(columns []column) int {
	out := -1
	for i, c := range columns {
		if c.keep > 0 && (out < 0 || c.keep < columns[out].keep) {
			out = i
		}
	}
	return out
}

// shorten cuts text to at most limit cells. Where something is cut off, it ends with an
// ellipsis.
func shorten(text string, limit int) string {
	if cellsOf(text) <= limit {
		return text
	}
	used := 1 // the ellipsis
	for i, r := range text {
		if used += cells(r); used > limit {
			return text[:i] + "…"
		}
	}
	return text
}

// cellsOf returns how many cells of a terminal printable text takes at most.
func cellsOf(text string) int {
	out := 0
	for _, r := range text {
		out += cells(r)
	}
	return out
}

// cells returns how many cells a character takes. Combining marks count as one: too wide
// is a shorter text, too narrow a wrapped line.
func cells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// lineWidth returns how many cells a line of w has, or 0 where w is no terminal.
func lineWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !terminal(w) {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
