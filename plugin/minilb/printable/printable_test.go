package printable

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// M10
func TestLine(t *testing.T) {
	long := strings.Repeat("ü", MaxLine)
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"Service shop/web:  two spaces stay", "Service shop/web:  two spaces stay"},
		{"größer → 東京 👍", "größer → 東京 👍"},
		{"a\nb\r\n\tc ", "a b c"},
		{"\x1b]0;title\x07\x1b[2J", `\u001b]0;title\u0007\u001b[2J`},
		{"\u009b31m", `\u009b31m`},
		{"\x9b31m", "\ufffd31m"}, // CSI in Latin 1
		{"a\x00\x7f\b", `a\u0000\u007f\u0008`},
		{"\u202egnp.exe\u202c \u2066x\u2069", `\u202egnp.exe\u202c \u2066x\u2069`},
		{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`},
		{"\U000e0041", `\udb40\udc41`},
		{"line\u2028separator\u0085", "line separator"},
		{"\xff\xfe", "\ufffd\ufffd"},
		{long, long[:MaxLine-4] + "…"},
		{strings.Repeat("a", MaxLine), strings.Repeat("a", MaxLine)},
		{strings.Repeat("\x1b", MaxLine), strings.Repeat(`\u001b`, MaxLine)[:MaxLine-3] + "…"},
	} {
		if got := Line(tc.text); got != tc.want {
			t.Errorf("%.40q: got %.80q, want %.80q", tc.text, got, tc.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		text  string
		limit int
		want  string
	}{
		{"abcd", 4, "abcd"}, {"abcde", 4, "a…"}, {"äöüx", 6, "ä…"}, {"äöü", 6, "äöü"}, {"abcdef", 2, "…"}, {"\x80\x80\x80\x80\x80", 4, "…"},
	} {
		if got := Cut(tc.text, tc.limit); got != tc.want {
			t.Errorf("%q to %d: got %q, want %q", tc.text, tc.limit, got, tc.want)
		}
	}
}

// A Writer leaves layout, and the meaning of JSON.
func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := Writer(&out)
	const text = "a\tb\n\x1b[31mred\r\n\u202e"
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if want := "a\tb\n" + `\u001b[31mred\u000d` + "\n" + `\u202e`; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}

	out.Reset()
	value := map[string]string{"name": "\u009b2J \u202e\U000e0041 \x7f\x1b\n"}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("got %q", &out)
	}
	read := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != value["name"] {
		t.Errorf("got %v, %q", err, read)
	}

	gone := errors.New("gone")
	for _, text := range []string{"plain", "\x1b"} {
		if n, err := io.WriteString(Writer(failing{gone}), text); n != 0 || err != gone {
			t.Errorf("%q: got %d, %v", text, n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// M10: whatever a text is, a line of it has nothing that a terminal obeys, and is done with after once.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"a b", "\x1b[2J\n", "\x9b", "\u009b", "\u202e\u2066", "\U000e0041", "\xff", strings.Repeat("ü\n", MaxLine)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := Line(text)
		if len(line) > MaxLine || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: got %q", text, line)
		}
		if again := Line(line); again != line {
			t.Errorf("%q: got %q, and of that %q", text, line, again)
		}
		var out strings.Builder
		if _, err := io.WriteString(Writer(&out), text); err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(out.String()) || strings.ContainsFunc(out.String(), func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q: wrote %q", text, &out)
		}
	})
}
