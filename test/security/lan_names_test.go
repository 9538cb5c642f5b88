package security_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// claimLines are those that a shipped Corefile has as comments.
var claimLines = regexp.MustCompile(`(?m)^( *)# (claim .*)$`)

// What a tenant with one pod gets of the names that the LAN asks for by itself, from the Corefiles as they are shipped: none
// that is nobody's or more than anybody has (C7), whatever they say. The rest it gets until the claim line is taken in that
// they have as a comment (C6): which is why the README says when to.
func TestTenantLANNames(t *testing.T) {
	t.Parallel()
	names := []struct {
		claimed, asked string // E is the tenant's namespace
		refusal        string // why nobody gets it, "" if anybody does
	}{
		{"*.com", "any-E.com", `it would cover all domains of the public suffix "com"`},
		{"*.org", "any-E.org", `it would cover all domains of the public suffix "org"`},
		{"*.co.uk", "any-E.co.uk", `it would cover all domains of the public suffix "co.uk"`},
		{"*.arpa", "any-E.arpa", `it would cover all domains of the public suffix "arpa"`},
		{"1.1.168.192.in-addr.arpa", "1.1.168.192.in-addr.arpa", "arpa is for names of the Internet's infrastructure"},
		{"wpad.", "wpad", `clients ask for "wpad" by themselves`},
		{"wpad.lan", "wpad.lan", `clients ask for "wpad" by themselves`},
		{"isatap.", "isatap", `clients ask for "isatap" by themselves`},
		{"localhost.", "localhost", "localhost is for whoever asks"},
		{"use-application-dns.net", "use-application-dns.net", "use-application-dns.net is for browsers"},
		{"kube-system.minilb", "kube-system.minilb", `it is the name of namespace "kube-system"`},
		{"time.apple.com", "time.apple.com", ""},
		{"dns.google", "dns.google", ""},
	}
	n := harness.NewTenants(t, harness.Shared(t))
	accounts := harness.ShippedAccounts(t, n.Cluster)
	in := func(text string) string { return strings.ReplaceAll(text, "E", n.Evil.Namespace) }
	for i, name := range names {
		n.Claim(t, fmt.Sprintf("n%02d", i), in(name.claimed))
	}
	for _, path := range []string{"Corefile.example", "deploy/systemd/Corefile", "deploy/kustomize/base/Corefile"} {
		shipped, err := os.ReadFile("../../" + path)
		harness.Must(t, err)
		for what, corefile := range map[string]string{"as it is": string(shipped), "with the claim line": claimLines.ReplaceAllString(string(shipped), "$1$2")} {
			allowed := what == "as it is"
			if allowed == (corefile != string(shipped)) {
				t.Fatalf("%s has no claim line as a comment", path)
			}
			t.Run(path+" "+what, func(t *testing.T) {
				corefile, _ := harness.OnLoopback(t, corefile, n.Up, accounts.DNS, harness.Certificate{})
				s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+accounts.DNS, "NODE_IP=127.0.0.1")
				s.WaitReady(t)
				for i, name := range names {
					var want []string
					if name.refusal == "" && allowed {
						want = []string{harness.EvilPod}
					}
					text := name.refusal
					if text == "" && !allowed {
						text = fmt.Sprintf("no claim line of the Corefile lets namespace %q have it", n.Evil.Namespace)
					}
					cluster.Eventually(t, patience, func() error {
						err := s.Expect(in(name.asked), dns.TypeA, want...)
						if strings.HasSuffix(name.asked, ".minilb") {
							err = s.ExpectRcode(name.asked, dns.TypeA, dns.RcodeNameError)
						}
						if err != nil {
							return err
						}
						lines := s.Log.Lines(fmt.Sprintf("Service %s/n%02d: host ", n.Evil.Namespace, i))
						if text == "" && len(lines) > 0 || text != "" && (len(lines) != 1 || !strings.Contains(lines[0], text)) {
							return fmt.Errorf("%s: got the lines %q, want %q", name.claimed, lines, text)
						}
						return nil
					})
				}
			})
		}
	}
}
