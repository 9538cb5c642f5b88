package wordwrap

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	word := func(n int) string { return strings.Repeat("ä", n) }
	for _, tc := range []struct{ name, first, margin, text, want string }{
		{"a line", "- ", "  ", "a b", "- a b\n"},
		{"nothing", "title  ", "  ", "", "title\n"},
		{"blanks", "", "", "a  b ", "a  b\n"},
		{"80 columns", "- ", "  ", word(38) + " " + word(39), "- " + word(38) + " " + word(39) + "\n"},
		{"81 columns", "- ", "  ", word(39) + " " + word(39), "- " + word(39) + "\n  " + word(39) + "\n"},
		{"a long word first", "- ", "  ", word(90) + " b", "- " + word(90) + "\n  b\n"},
		{"a long word between", "- ", "    ", "a " + word(90) + " b", "- a\n    " + word(90) + "\n    b\n"},
		{"three lines", "", " ", word(50) + " " + word(50) + " " + word(20) + " " + word(7) + " b", word(50) + "\n " + word(50) + " " + word(20) + " " + word(7) + "\n b\n"},
	} {
		if got := Wrap(tc.first, tc.margin, tc.text); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, got, tc.want)
		}
	}
}
