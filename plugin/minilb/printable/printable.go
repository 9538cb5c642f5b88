// Package printable sanitizes text from the cluster or the network before it reaches a terminal, a log or an Event: it
// cannot move the cursor, forge lines or fill the disk (M10). It imports nothing of ours.
package printable

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine is the largest length of a line in bytes.
const MaxLine = 4096

// Line returns text as one line of valid UTF-8, of at most MaxLine bytes: unchanged if it is one already, else with
// single spaces for white space, and escapes such as \u001b for other characters that are not printable.
func Line(text string) string {
	if len(text) <= MaxLine && harmless(text, " ") {
		return text
	}
	if len(text) > MaxLine {
		text = Cut(text, MaxLine) // bounds the work
	}
	return Cut(escape(strings.Join(strings.Fields(text), " "), " "), MaxLine)
}

// Cut returns text, or its beginning and "…" if it has more bytes than the limit. It splits no character.
func Cut(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// Shorten cuts what a user wrote to a length that fits a log line.
func Shorten(text string) string { return Cut(text, 80) }

// Legible returns text, quoted if it has any character that cannot be seen.
func Legible(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// Writer returns a Writer to w that escapes as Line does, except line breaks and tabs. The escapes are those of JSON, so
// that a document keeps its meaning. A character must not be split between two writes.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ to io.Writer }

// layout is the white space that a Writer does not escape.
const layout = " \n\t"

// Write implements the io.Writer interface.
func (w writer) Write(p []byte) (int, error) {
	text := string(p)
	if harmless(text, layout) {
		return w.to.Write(p)
	}
	if _, err := io.WriteString(w.to, escape(text, layout)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// harmless reports whether text is valid UTF-8 and has nothing to escape.
func harmless(text, space string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !allowed(r, space) })
}

// allowed reports whether a character is printable or among the white space. Control characters (with U+0080 to U+009F,
// which have a CSI of their own), format characters (bidirectional writing), unassigned and private ones are not.
func allowed(r rune, space string) bool {
	return unicode.IsPrint(r) && r != ' ' || strings.ContainsRune(space, r)
}

// escape replaces what is not allowed by JSON's escapes (RFC 8259 §7), and invalid UTF-8 by U+FFFD.
func escape(text, space string) string {
	var out strings.Builder
	for _, r := range text {
		high, low := utf16.EncodeRune(r)
		switch {
		case allowed(r, space):
			out.WriteRune(r)
		case high != utf8.RuneError:
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
