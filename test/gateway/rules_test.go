package gateway_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// gatewayCase is what a rule says of some objects in a namespace of their own.
type gatewayCase struct {
	name    string // begins with the rules
	objects string // NS stands for the namespace, also in the hosts, which end in NS.example
	younger string // those whose creationTimestamp is later than that of all objects
	want    []string
	logged  []string // what is said in one line of the log

	namespace string // see inNamespaces
}

// gatewayCases are all of them, by the part of the rules that they are about.
var gatewayCases = inNamespaces(slices.Concat(attachmentCases, acceptanceCases, hostnameCases, addressCases, setCases, claimCases))

// inNamespaces gives each case a namespace, named for its rules and its place among all.
func inNamespaces(cases []gatewayCase) []gatewayCase {
	for i := range cases {
		rules, _, _ := strings.Cut(strings.ToLower(cases[i].name), ":")
		cases[i].namespace = fmt.Sprintf("%s-%d", strings.ReplaceAll(rules, ", ", "-"), i)
	}
	return cases
}

// TestGatewayRules gives the real API server objects as their users and controllers write them,
// and checks what is answered: by a server that saw each of them come, and by one that found
// them there, which must agree (C5).
func TestGatewayRules(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	servers := applyBetween(t, c, gatewayCases)
	expectCases(t, gatewayCases, servers)
	if lines := servers["starting"].Log.Lines("[ERROR]"); len(lines) > 0 {
		t.Errorf("errors are logged: %q", lines)
	}
}

// applyBetween applies the cases between the starts of two servers, "watching" and "starting".
func applyBetween(t *testing.T, c *cluster.Cluster, cases []gatewayCase) map[string]*harness.CoreDNS {
	t.Helper()
	corefile := harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t))
	watching := harness.StartCoreDNS(t, corefile)
	watching.WaitReady(t)
	applyCases(t, c, cases)
	starting := harness.StartCoreDNS(t, corefile)
	starting.WaitReady(t)
	return map[string]*harness.CoreDNS{"watching": watching, "starting": starting}
}

// applyCases applies the cases' objects, the younger ones when creationTimestamps have moved on.
func applyCases(t *testing.T, c *cluster.Cluster, cases []gatewayCase) {
	t.Helper()
	applyAll := func(manifest func(tc gatewayCase) string) {
		harness.Parallel(t, len(cases), func(i int) error {
			namespace := cases[i].namespace
			if err := c.Apply(t.Context(), strings.ReplaceAll(manifest(cases[i]), "NS", namespace)); err != nil {
				return fmt.Errorf("%s: %w", cases[i].name, err)
			}
			return nil
		})
	}
	applyAll(func(tc gatewayCase) string { return harness.Object("v1", "Namespace", "NS", "") + tc.objects })
	if slices.ContainsFunc(cases, func(tc gatewayCase) bool { return tc.younger != "" }) {
		// A creationTimestamp has whole seconds.
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1050 * time.Millisecond)))
		applyAll(func(tc gatewayCase) string { return tc.younger })
	}
}

// expectCases checks each case in a subtest, at each of the servers. What is not answered is only
// known to be so once all that is has come.
func expectCases(t *testing.T, cases []gatewayCase, servers map[string]*harness.CoreDNS) {
	t.Helper()
	for server, s := range servers {
		for _, tc := range cases {
			if err := cluster.Wait(t.Context(), 20*time.Second, func() error { return expectPresent(s, tc) }); err != nil {
				t.Fatalf("the server that was %s: %v", server, err)
			}
		}
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for server, s := range servers {
				// The answers come before the lines.
				if err := cluster.Wait(t.Context(), 10*time.Second, func() error { return expectCase(s, tc) }); err != nil {
					t.Errorf("the server that was %s: %v", server, err)
				}
			}
		})
	}
}

// expectPresent checks the lines of a case that say what is answered, not those that say what is not.
func expectPresent(s *harness.CoreDNS, tc gatewayCase) error {
	for _, line := range tc.want {
		if !strings.HasSuffix(line, " -") {
			if err := expectHost(s, tc.namespace, line); err != nil {
				return fmt.Errorf("%s: %w\n%s", tc.name, err, strings.Join(s.Log.Lines(tc.namespace+"/"), "\n"))
			}
		}
	}
	return nil
}

// expectCase checks all that a case wants.
func expectCase(s *harness.CoreDNS, tc gatewayCase) error {
	var errs []error
	for _, line := range tc.want {
		errs = append(errs, expectHost(s, tc.namespace, line))
	}
	for _, text := range tc.logged {
		text = strings.ReplaceAll(text, "NS", tc.namespace)
		if lines := s.Log.Lines(text); len(lines) != 1 {
			errs = append(errs, fmt.Errorf("got %d lines %q, want one", len(lines), text))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w\nlogged of it: %q", err, s.Log.Lines(tc.namespace+"/"))
	}
	return nil
}

// expectHost checks a line "host [type] [data...]" or "host -". The host is one below NS.example,
// or absolute; the type is A unless said otherwise; and "-" is a name that is not answered here,
// but passed on.
func expectHost(s *harness.CoreDNS, namespace, line string) error {
	fields := strings.Fields(strings.ReplaceAll(line, "NS", namespace))
	name, data := fields[0], fields[1:]
	if !strings.HasSuffix(name, ".") {
		name += "." + namespace + ".example."
	}
	qtype := dns.TypeA
	if known, ok := dns.StringToType[data[0]]; ok {
		qtype, data = known, data[1:]
	}
	if len(data) == 1 && data[0] == "-" {
		return expectForwarded(s, name, qtype)
	}
	return s.Expect(name, qtype, data...)
}

// expectForwarded returns an error unless the question is passed on to startUpstream's server.
func expectForwarded(s *harness.CoreDNS, name string, qtype uint16) error {
	reply, err := s.Ask("udp", name, qtype)
	if err != nil {
		return err
	}
	if reply.Authoritative || len(reply.Answer) != 1 || reply.Answer[0].Header().Rrtype != dns.TypeTXT {
		return fmt.Errorf("%s %s is answered here: %s", name, dns.TypeToString[qtype], harness.MessageOf(reply))
	}
	return nil
}
