package security_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// attempt is a host that a tenant claims and is not to have.
type attempt struct {
	host   string // E and V are the namespaces
	reason string // of the refusal
	text   string // of the log line
}

// attempts are at the names of another namespace, of the zone's structure, and at what is no name.
var attempts = []attempt{
	{"web.V.minilb", "reserved", "it is the name of Service V/web"},
	{"WEB.V.MINILB", "reserved", "it is the name of Service V/web"},
	{"web.V.minilb.", "reserved", "it is the name of Service V/web"},
	{"other.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"x.web.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"10-1-0-1.web.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"xn--wb-fka.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"*.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"*.web.V.minilb", "reserved", "names below V.minilb belong to namespace"},
	{"V.minilb", "reserved", "it stands above the Services of namespace"},
	{"*.minilb", "reserved", "it would cover every namespace of zone minilb"},
	{"*.Minilb.", "reserved", "it would cover every namespace of zone minilb"},
	{"ns1.minilb", "reserved", "it is the name server of zone minilb"},
	{"NS1.minilb.", "reserved", "it is the name server of zone minilb"},
	{"x.ns1.minilb", "reserved", "names below ns1.minilb belong to namespace"},
	{"web.V.minilb\n", "reserved", "it is the name of Service V/web"}, // as blanks are, it is cut off
	{"\t web.V.minilb \r", "reserved", "it is the name of Service V/web"},
	{"www.V.example", "conflict", "another namespace claimed it earlier"},
	{"WWW.V.Example.", "conflict", "another namespace claimed it earlier"},
	{"*.apps.V.example", "conflict", "another namespace claimed it earlier"},

	{"_http._tcp.web.V.minilb", "invalid", "it is not a DNS name"},
	{"_tcp.web.V.minilb", "invalid", "it is not a DNS name"},
	{"*", "invalid", "a wildcard needs a domain"},
	{".", "invalid", "it is not a DNS name"},
	{`web\046V.minilb`, "invalid", "it is not a DNS name"},
	{`web\.V.minilb`, "invalid", "it is not a DNS name"},
	{"web%2eV.minilb", "invalid", "it is not a DNS name"},
	{"web。V.minilb", "invalid", "it has a letter beyond ASCII"}, // a full stop of IDNA
	{"web．V.minilb", "invalid", "it has a letter beyond ASCII"}, // another
	{"wеb.V.minilb", "invalid", "it has a letter beyond ASCII"}, // a letter of another alphabet
	{"ｗｅｂ.V.minilb", "invalid", "it has a letter beyond ASCII"},
	{"nſ1.minilb", "invalid", "it has a letter beyond ASCII"},   // which is an S in upper case
	{"web.V.mınilb", "invalid", "it has a letter beyond ASCII"}, // and an I
	{"web.V.minilb\x00", "invalid", "it has an invisible character, U+0000"},
	{"web\x00.V.minilb", "invalid", "it has an invisible character, U+0000"},
	{"web.V.minilb\x1b[2J", "invalid", "it has an invisible character, U+001B"},
	{"web.V.minilb\u200b", "invalid", "it has an invisible character, U+200B"}, // a blank without width
	{".V.minilb", "invalid", "it is not a DNS name"},
	{"web..V.minilb", "invalid", "it is not a DNS name"},
	{"web.V.minilb..", "invalid", "it is not a DNS name"},
	{"-web.V.minilb", "invalid", "it is not a DNS name"},
	{"*.*.V.minilb", "invalid", "it is not a DNS name"},
	{"x*.V.minilb", "invalid", "it is not a DNS name"},
	{"web.*.minilb", "invalid", "it is not a DNS name"},
	{"10.1.0.1", "invalid", "it is an IP address"},
	{"fd00::1", "invalid", "it is an IP address"},
	{"::ffff:127.0.0.1", "invalid", "it is an IP address"},
	{strings.Repeat("l", 64) + ".V.minilb", "invalid", "has 64 characters, at most 63 are allowed"},
	{strings.Repeat("long.", 50) + "V.minilb", "invalid", "characters, at most 253 are allowed"},
	{"*." + strings.Repeat("a.", 40) + "V.minilb", "invalid", "it has 43 labels, at most 32 are allowed"},
}

// A tenant takes no name of another's, nor of the zone's structure, however it writes it: as a Service,
// an Ingress or a route of its own. Each attempt is refused, counted, and logged in one line.
func TestTenantNames(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.Shared(t))
	s := n.Serve(t)
	n.Guard(t, s)

	want := map[string]int{}
	for i, a := range attempts {
		n.Claim(t, fmt.Sprintf("a%02d", i), n.In(a.host)+fmt.Sprintf(",a%02d.%s.example", i, n.Evil.Namespace))
		want[a.reason]++
	}
	for i := range attempts { // what is beside it counts
		cluster.Eventually(t, patience, func() error {
			return s.Expect(fmt.Sprintf("a%02d.%s.example", i, n.Evil.Namespace), dns.TypeA, harness.EvilPod)
		})
	}
	for i, a := range attempts {
		cluster.Eventually(t, patience, func() error {
			if lines := s.Log.Lines(fmt.Sprintf("Service %s/a%02d: ", n.Evil.Namespace, i)); len(lines) != 1 || !strings.Contains(lines[0], n.In(a.text)) {
				return fmt.Errorf("host %q: got lines %q, want one with %q", a.host, lines, n.In(a.text))
			}
			return nil
		})
	}
	cluster.Eventually(t, patience, func() error {
		if got := rejected(s); !maps.Equal(got, want) {
			return fmt.Errorf("claims_rejected: got %v, want %v", got, want)
		}
		return nil
	})
	if line := unprintable(s.Log); line != "" {
		t.Errorf("the log has %q", line)
	}

	// The same as an Ingress: what the API server takes of it.
	name := func(i int) string { return fmt.Sprintf("i%02d", i) }
	taken := make([]bool, len(attempts))
	harness.Parallel(t, len(attempts), func(i int) error {
		taken[i] = n.Evil.Apply(fmt.Sprintf("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: %s, namespace: %s, annotations: {minilb/service: a00}}, spec: {rules: [{host: %q}, {host: %[1]s.%[2]s.example}]}}",
			name(i), n.Evil.Namespace, n.In(attempts[i].host))) == nil
		return nil
	})
	var hosts []string
	for i, a := range attempts {
		if !taken[i] {
			continue
		}
		hosts = append(hosts, n.In(a.host))
		cluster.Eventually(t, patience, func() error { return s.Expect(name(i)+"."+n.Evil.Namespace+".example", dns.TypeA, harness.EvilPod) })
		cluster.Eventually(t, patience, func() error {
			if lines := s.Log.Lines(fmt.Sprintf("Ingress %s/%s: ", n.Evil.Namespace, name(i))); len(lines) != 1 || !strings.Contains(lines[0], n.In(a.text)) {
				return fmt.Errorf("Ingress with %q: got lines %q, want one with %q", n.In(a.host), lines, n.In(a.text))
			}
			return nil
		})
	}
	t.Logf("the API server takes %d of the hosts for an Ingress and refuses %d", len(hosts), len(attempts)-len(hosts))
	for _, host := range []string{"web.V.minilb", "*.V.minilb", "V.minilb", "*.minilb", "ns1.minilb", "www.V.example", strings.Repeat("l", 64) + ".V.minilb"} {
		if !slices.Contains(hosts, n.In(host)) {
			t.Errorf("no Ingress had %q: the test says nothing of it", host)
		}
	}

	// Its own names are the tenant's, and so is one of a label that is no namespace, or an address of
	// the apex, but not what makes it a zone.
	n.Claim(t, "own", n.In("E.minilb *.E.minilb,x.y.E.minilb,minilb.,")+"home-"+n.Evil.Namespace)
	for _, name := range []string{"E.minilb", "any.E.minilb", "x.y.E.minilb", "minilb", "home-E.minilb"} {
		cluster.Eventually(t, patience, func() error { return s.Expect(n.In(name), dns.TypeA, harness.EvilPod) })
	}
	reply, err := s.Ask("udp", "minilb", dns.TypeSOA)
	harness.Must(t, err)
	if len(reply.Answer) != 1 || reply.Answer[0].(*dns.SOA).Ns != "ns1.minilb." || reply.Answer[0].(*dns.SOA).Mbox != "hostmaster.minilb." {
		t.Errorf("the apex: got %v, want its own SOA", reply.Answer)
	}
}

var printables = regexp.MustCompile(`(?m)^.*[^\p{L}\p{N}\p{P}\p{S} \n].*$`)

// unprintable returns a line with a character that is not to be seen, or that moves the cursor.
func unprintable(b *harness.LogBuffer) string {
	line := printables.FindString(b.String())
	if strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return line
	}
	return ""
}
