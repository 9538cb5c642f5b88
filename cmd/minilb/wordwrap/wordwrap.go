// Package wordwrap lays out what the commands print for people.
package wordwrap

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Width is how many columns a terminal is taken to have.
const Width = 80

// Wrap returns the words as lines of at most 80 columns, a longer word aside, the first of which begins with first, and
// all others with margin. Words are parted by single spaces; two stay two within a line. The text has no lines of its
// own, and nothing that a terminal obeys (M10).
func Wrap(first, margin, text string) string {
	var out strings.Builder
	line, empty := first, true
	for word := range strings.SplitSeq(printable.Line(text), " ") {
		switch {
		case empty:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= Width:
			line += " " + word
		default:
			out.WriteString(strings.TrimRight(line, " ") + "\n")
			line = margin + word
		}
		empty = false
	}
	out.WriteString(strings.TrimRight(line, " ") + "\n")
	return out.String()
}

// Count returns a number of things, as in "no address", "1 address" or "2 addresses".
func Count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case n == 0:
		return "no " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
