// Package printable is the gate for text that comes from the cluster or the network, on its way to a
// terminal, a log or an Event: whoever may write objects, or sits before the API server, moves no cursor,
// forges no line and fills no disk by what he has printed (M10). It imports nothing of ours.
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

// MaxLine is how many bytes a line has at most.
const MaxLine = 4096

// Line returns text as one line of valid UTF-8 and at most MaxLine bytes. Text that is one already stays as it
// is. Of other text, white space becomes single spaces, and other control characters, such as ESC and those
// that change the direction of writing, become escapes such as \u001b.
func Line(text string) string {
	if len(text) <= MaxLine && harmless(text, " ") {
		return text
	}
	if len(text) > MaxLine {
		text = Cut(text, MaxLine) // before all of it is looked at
	}
	return Cut(escape(strings.Join(strings.Fields(text), " "), " "), MaxLine)
}

// Cut returns text, or its beginning and "…" if it has more bytes than the limit. It parts no character.
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

// Writer returns a Writer to w that escapes as Line does, but for line breaks and tabs: what is written is
// laid out already. The escapes are those of JSON, so that a JSON document keeps its meaning. A character
// must not be parted between two writes.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ to io.Writer }

// layout are the white space that a Writer lets through.
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

// allowed reports whether a character can be seen and stays where it is, or is among the white space. Control
// characters (U+0080 to U+009F, too, which have a CSI of their own), format characters, such as those of
// bidirectional writing, unassigned and private ones are not.
func allowed(r rune, space string) bool {
	return unicode.IsPrint(r) && r != ' ' || strings.ContainsRune(space, r)
}

// escape writes what is not allowed as JSON has it (RFC 8259 §7), and U+FFFD for what is no UTF-8.
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
