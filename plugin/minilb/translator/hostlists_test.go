package translator

import (
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// I10: what people have been seen to write into one annotation: what is wrong costs itself alone.
func TestHostLists(t *testing.T) {
	for _, tc := range []struct {
		value string
		hosts string
		wrong []string // what is said of the others, in their order
	}{
		{"l1.nl.example.org\nl2.nl.example.org\n", "l1.nl.example.org. l2.nl.example.org.", nil},
		{"c1.nl.example.org.,\nc2.nl.example.org\n", "c1.nl.example.org. c2.nl.example.org.", nil},
		{"b1.nl.example.org b2.nl.example.org", "b1.nl.example.org. b2.nl.example.org.", nil},
		{`["j1.nl.example.org","j2.nl.example.org"]`, "", []string{"JSON"}},
		{`https://u1.nl.example.org/, u2.nl.example.org:8443, u3.nl.example.org/path, 'u4.nl.example.org', "u5.nl.example.org", u6.nl.example.org;u7.nl.example.org, ` +
			`.u8.nl.example.org, u9..nl.example.org, u10.nl.example.org.., münchen.nl.example.org, _srv.nl.example.org, *, *.*.nl.example.org, a.*.nl.example.org, ` +
			`**.nl.example.org, *nl.example.org, localhost, u11.nl.example.org., U12.NL.Example.ORG, u13-.nl.example.org, 10.0.0.1, fd00::1, u14.nl.example.org # comment, ` +
			`xn--mnchen-3ya.nl.example.org`,
			"localhost. u11.nl.example.org. u12.nl.example.org. u14.nl.example.org. xn--mnchen-3ya.nl.example.org.", // C7 has something to say of localhost
			[]string{"URL", "port", "path", "quotes", "quotes", "semicolons", "not a DNS name", "not a DNS name", "not a DNS name", "xn--mnchen-3ya.nl.example.org", "not a DNS name",
				"a wildcard needs a domain", "not a DNS name", "not a DNS name", "not a DNS name", "not a DNS name", "not a DNS name", "IP address", "IP address", "comment"}},
		{"sctst-www", "sctst-www.minilb.", nil},
		{"rel4.c10", "rel4.c10.", nil},
	} {
		c := claim.FromService(&config.Options{Zones: []string{"minilb.", "lan."}, HostAnnotations: []string{"a"}}, &object.Service{Hosts: map[string]string{"a": tc.value}})
		if got := strings.Join(c.Hosts, " "); got != tc.hosts {
			t.Errorf("%q: got %q, want %q", tc.value, got, tc.hosts)
		}
		for i, p := range c.Problems {
			if i >= len(tc.wrong) || !strings.Contains(p.Text, tc.wrong[i]) {
				t.Errorf("%q: got %q, want %q", tc.value, p.Text, tc.wrong[min(i, len(tc.wrong)):])
				break
			}
		}
		if len(c.Problems) != len(tc.wrong) {
			t.Errorf("%q: %d are wrong, want %d", tc.value, len(c.Problems), len(tc.wrong))
		}
	}
}
