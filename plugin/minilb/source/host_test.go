package source

import (
	"slices"
	"strings"
	"testing"
)

// I10
func TestSplitHosts(t *testing.T) {
	tests := map[string][]string{
		"":                                     nil,
		" , ,,":                                nil,
		"mqtt.sko.ai, mqtt.example.com":        {"mqtt.sko.ai", "mqtt.example.com"},
		" a.ex.org ,\tb.ex.org\n, a b.ex.org ": {"a.ex.org", "b.ex.org", "a b.ex.org"},
	}
	for value, want := range tests {
		if got := slices.Collect(splitHosts(value)); !slices.Equal(got, want) {
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
		if got, err := parseHost(written); err != nil || got != want {
			t.Errorf("%.40q: got %.40q, %v, want %.40q", written, got, err, want)
		}
	}
	invalid := map[string]string{
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
		"bücher.example":                 "not a DNS name",
		"-a.org":                         "not a DNS name",
		"\u212aelvin.org":                "not a DNS name", // whose lower case is an ASCII letter
		"\u0130.org":                     "not a DNS name",
		"10.0.0.1":                       "IP address",
		"*.10.0.0.1":                     "IP address",
		"::1":                            "IP address",
		"2001:db8::1.":                   "IP address",
		label63 + "a.org":                "64 characters, at most 63",
		"x." + name253:                   "255 characters, at most 253",
		"*." + name253:                   "255 characters, at most 253",
		`a\.b.org`:                       "not a DNS name",
		strings.Repeat("a.", 32) + "org": "33 labels, at most 32",
		"a.org\x00":                      "not a DNS name",
	}
	for written, want := range invalid {
		if got, err := parseHost(written); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %.40q, error %v, want one that says %q", written, got, err, want)
		}
	}
}

func TestShorten(t *testing.T) {
	if got := shorten(strings.Repeat("ü", 100)); len(got) > 90 || !strings.HasPrefix(got, "üü") || strings.Contains(got, "\ufffd") {
		t.Errorf("got %q", got)
	}
}
