package docs_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// TestCanaries asks the Corefile of the recipe for the names by which a network has encrypted DNS turned off.
func TestCanaries(t *testing.T) {
	t.Parallel()
	kubeconfig := harness.ShippedAccounts(t, harness.Shared(t)).DNS
	up := harness.StartUpstream(t)
	corefile, _ := harness.OnLoopback(t, harness.Recipe(t, "clients.md", "Encrypted DNS of browsers")[0], up, kubeconfig, harness.Certificate{})
	s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+kubeconfig)
	for name, want := range map[string]int{
		"use-application-dns.net": dns.RcodeNameError,
		"mask.icloud.com":         dns.RcodeNameError,
		"mask-h2.icloud.com":      dns.RcodeNameError,
		"_dns.resolver.arpa":      dns.RcodeSuccess,
	} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSVCB} {
			reply, err := s.Ask("udp", name, qtype)
			if err != nil || reply.Rcode != want || len(reply.Answer) > 0 || len(reply.Ns) != 1 {
				t.Errorf("%s %s: got %v, %v, want %s with a SOA", name, dns.TypeToString[qtype], reply, err, dns.RcodeToString[want])
			}
		}
	}
	for _, name := range []string{"dns.net", "icloud.com", "example.org"} {
		if reply, err := s.Ask("udp", name, dns.TypeTXT); err != nil || len(reply.Answer) != 1 {
			t.Errorf("%s TXT: got %v, %v, want the upstream's answer", name, reply, err)
		}
	}
}

// The ruleset for nodes is what nft takes.
func TestRecipeForNftables(t *testing.T) {
	t.Parallel()
	nft, unshare := harness.Program(t, "nft", "nftables"), harness.Program(t, "unshare", "util-linux")
	path := filepath.Join(t.TempDir(), "ruleset")
	harness.Must(t, os.WriteFile(path, []byte(harness.Recipe(t, "node-firewall.md", "nftables")[0]), 0o600))
	in := []string{"--user", "--map-root-user", "--net"}
	if _, err := harness.Run(t, unshare, append(slices.Clone(in), "true")...); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	_, err := harness.Run(t, unshare, append(in, nft, "-f", path)...)
	harness.Must(t, err)
}
