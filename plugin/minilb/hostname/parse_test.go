package hostname

import (
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// I10
func TestSplitHosts(t *testing.T) {
	tests := map[string][]string{
		"":                                     nil,
		" , ,,":                                nil,
		"mqtt.sko.ai, mqtt.example.com":        {"mqtt.sko.ai", "mqtt.example.com"},
		" a.ex.org ,\tb.ex.org\n, a b.ex.org ": {"a.ex.org", "b.ex.org", "a", "b.ex.org"},
		"a.ex.org\nb.ex.org\r\n":               {"a.ex.org", "b.ex.org"},
		"a.ex.org.,\nb.ex.org\n":               {"a.ex.org.", "b.ex.org"},
		"a.ex.org\u00a0b.ex.org\u3000c":        {"a.ex.org", "b.ex.org", "c"},
		// Words that are no hosts are kept from becoming any.
		"a.ex.org # the main one, b.ex.org":             {"a.ex.org", "# the main one", "b.ex.org"},
		"a.ex.org # main, old printer, c\nb.ex.org":     {"a.ex.org", "# main, old printer, c", "b.ex.org"},
		"# main, old, b.ex.org. , c":                    {"# main, old", "b.ex.org.", "c"},
		"# main, e.g. a printer, old.\r\nb":             {"# main, e.g. a printer, old.", "b"},
		"#, a.ex.org #,b.ex.org":                        {"#, a.ex.org #", "b.ex.org"},
		"a.ex.org // the main one\nb.ex.org":            {"a.ex.org", "// the main one", "b.ex.org"},
		`["a.ex.org", "b.ex.org"], c.ex.org`:            {`["a.ex.org", "b.ex.org"]`, "c.ex.org"},
		`{"hosts": ["a"]}`:                              {`{"hosts": ["a"]}`},
		`"a.ex.org b", 'c, d' e`:                        {`"a.ex.org b"`, `'c, d'`, "e"},
		`{{ include "fullname" . }}.ex.org a`:           {`{{ include "fullname" . }}.ex.org`, "a"},
		"www.{{ .Values.domain }},<no value>.ex.org, a": {"www.{{ .Values.domain }}", "<no value>.ex.org", "a"},
		`"a b`:      {`"a`, "b"},
		"it's, t's": {"it's", "t's"},
		"[" + strings.Repeat(" a", maxSpan) + "]": append(append([]string{"["}, slices.Repeat([]string{"a"}, maxSpan-1)...), "a]"),
	}
	for value, want := range tests {
		if got := slices.Collect(Split(value)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

// I5, I10, G32, D33
func TestParseHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	valid := map[string]string{
		"MQTT.ex.org.":                   "mqtt.ex.org.",
		"*.iot.ex.org":                   "*.iot.ex.org.",
		"*.com.":                         "*.com.",
		"home":                           "home.",
		label63:                          label63 + ".",
		name253:                          name253 + ".",
		"1.2.3.4.org":                    "1.2.3.4.org.",
		strings.Repeat("a.", 31) + "org": strings.Repeat("a.", 31) + "org.",
		"xn--bcher-kva.example":          "xn--bcher-kva.example.",
	}
	for written, want := range valid {
		if got, err := Parse(written); err != nil || got != want {
			t.Errorf("%.40q: got %.40q, %v, want %.40q", written, got, err, want)
		}
	}
	invalid := map[string]string{
		"1.2.3.4.5":                      `its last label "5" is a number`,
		"*.ex.123":                       `its last label "123" is a number`,
		"5.":                             `its last label "5" is a number`,
		"*":                              "a wildcard needs a domain",
		"*.":                             "a wildcard needs a domain",
		".":                              "not a DNS name",
		"a..b":                           "not a DNS name",
		"a.ex.org..":                     "not a DNS name",
		"a.*.b":                          "not a DNS name",
		"**.b":                           "not a DNS name",
		"*.*.b":                          "not a DNS name",
		"a b.ex.org":                     "not a DNS name",
		"bad_host!":                      "not a DNS name",
		"bücher.example":                 `it has a letter beyond ASCII, 'ü': write "xn--bcher-kva.example"`,
		"*.Bücher.example.":              `beyond ASCII, 'ü': write "*.xn--bcher-kva.example"`,
		"ß\u0661.org":                    "it has a letter beyond ASCII, 'ß'", // which no name has, as digits of two kinds are in it
		"a。org":                          `it has a letter beyond ASCII, '。': write "a.org"`,
		"-a.org":                         "not a DNS name",
		"\u212aelvin.org":                `: write "kelvin.org"`, // whose lower case is an ASCII letter
		"\u0130.org":                     "beyond ASCII, 'İ'",
		"10.0.0.1":                       "IP address",
		"*.10.0.0.1":                     "IP address",
		"::1":                            "IP address",
		"2001:db8::1.":                   "IP address",
		label63 + "a.org":                "64 characters, at most 63",
		"x." + name253:                   "255 characters, at most 253",
		"*." + name253:                   "255 characters, at most 253",
		`a\.b.org`:                       "not a DNS name",
		strings.Repeat("a.", 32) + "org": "33 labels, at most 32",
		"a.org\x00":                      `it has an invisible character, U+0000: write "a.org"`,
		"\ufeffa.org":                    `it has an invisible character, U+FEFF: write "a.org"`,
		"a\u200b.org":                    `it has an invisible character, U+200B: write "a.org"`,
		"a.org\x1b[2J":                   "it has an invisible character, U+001B",
		"https://a.org/":                 `it is a URL: write "a.org"`,
		"HTTP://A.org:80/x":              `it is a URL: write "a.org"`,
		"https://":                       "it is a URL",
		"a.org:8443":                     `it has a port, which DNS does not know: write "a.org"`,
		"a.org:x":                        "not a DNS name",
		"10.0.0.1:80":                    "it is an IP address",
		"[::1]:80":                       "it is an IP address",
		"10.0.0.0/8":                     "it is an IP address",
		"a.org/path":                     `it has a path, which DNS does not know: write "a.org"`,
		"'a.org'":                        `it has quotes: write "a.org"`,
		`"a.org"`:                        `it has quotes: write "a.org"`,
		"“a.org”":                        `it has quotes: write "a.org"`,
		`"a.org`:                         `it has quotes: write "a.org"`,
		`["a.org","b.org"]`:              "it is JSON, and the hosts are to be separated by commas alone",
		"a.org;b.org":                    "not by semicolons",
		"a.org;":                         `not by semicolons: write "a.org"`,
		"# a.org":                        "it is a comment, which annotations do not have",
		"//a.org":                        "it is a comment",
		"{{ .Values.host }}.ex.org":      "it is a template or a placeholder that nothing has filled in",
		"${HOST}.ex.org":                 "it is a template",
		"<none>":                         "it is a template or a placeholder",
	}
	for written, want := range invalid {
		if got, err := Parse(written); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %.40q, error %v, want one that says %q", written, got, err, want)
		}
	}
}

// I10: a host without any dot is relative to the zone, but for localhost (RFC 6761).
func TestParseRelative(t *testing.T) {
	for written, want := range map[string]string{
		"nas": "nas.lan.", "NAS": "nas.lan.", "2048": "2048.lan.", "nas.": "nas.", "a.b": "a.b.", "*.nas": "*.nas.",
		"localhost": "localhost.", "LocalHost": "localhost.", "localhost.": "localhost.",
	} {
		got, relative, err := ParseRelative(written, "lan.")
		if got != want || relative != strings.HasSuffix(want, ".lan.") || err != nil {
			t.Errorf("%q: got %q, %v, %v, want %q", written, got, relative, err, want)
		}
	}
	if got, relative, err := ParseRelative("nas", ""); got != "nas." || relative || err != nil {
		t.Errorf("without a zone: got %q, %v, %v", got, relative, err)
	}
	for written, want := range map[string]string{"*": "a wildcard needs a domain", "nas:80": `write "nas"`, "a_b": "not a DNS name", "::1": "IP address", "-": "not a DNS name"} {
		if got, _, err := ParseRelative(written, "lan."); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want an error that says %q", written, got, err, want)
		}
	}
	if got, _, err := ParseRelative(strings.Repeat("a", 63), strings.Repeat("b.", 100)); err == nil {
		t.Errorf("got %q, which is too long", got)
	}
}

func TestShorten(t *testing.T) {
	if got := printable.Shorten(strings.Repeat("ü", 100)); len(got) > 90 || !strings.HasPrefix(got, "üü") || strings.Contains(got, "\ufffd") {
		t.Errorf("got %q", got)
	}
}
