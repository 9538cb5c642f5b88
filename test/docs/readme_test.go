package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestDocumentedCorefiles starts every Corefile of the documentation with the real binary:
// ports and addresses are moved to loopback, all else is as it is written.
func TestDocumentedCorefiles(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{}) // nobody else's hosts to warn of
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	up := harness.StartUpstream(t)
	cert := harness.NewCertificate(t, "dns.lan.test")
	corefiles := map[string]string{}
	for _, path := range documentation(t) {
		text, err := os.ReadFile(filepath.Join("../..", path))
		harness.Must(t, err)
		for _, block := range harness.CorefileBlock.FindAllStringSubmatch(string(text), -1) {
			corefiles[path+": "+strings.SplitN(block[1], "\n", 2)[0]+" "+strings.Join(strings.Fields(block[1])[3:6], " ")] = block[1]
		}
		if path == "plugin/minilb/README.md" && len(corefiles) < 4 {
			t.Errorf("found %d Corefiles in the man page, want at least 4", len(corefiles))
		}
	}
	for _, path := range []string{"Corefile.example", "deploy/systemd/Corefile"} {
		text, err := os.ReadFile(filepath.Join("../..", path))
		harness.Must(t, err)
		corefiles[path] = string(text)
	}

	for name, corefile := range corefiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			corefile, _ := harness.OnLoopback(t, corefile, up, kubeconfig, cert)
			s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+kubeconfig)
			zone := "minilb"
			if strings.Contains(corefile, "minilb minilb.example.org") {
				zone = "minilb.example.org"
			}
			soa, rcode, err := s.Answers(zone, dns.TypeSOA)
			if err != nil || rcode != dns.RcodeSuccess || len(soa) != 1 {
				t.Errorf("%s SOA: got %v, %s, %v\n%s", zone, soa, dns.RcodeToString[rcode], err, s.Log)
			}
			if reply, err := s.Ask("udp", zone, dns.TypeSOA); err == nil && reply.RecursionAvailable != strings.Contains(corefile, "response set ra") {
				t.Errorf("recursion is available: %v\n%s", reply.RecursionAvailable, corefile)
			}
			if lines := append(s.Log.Lines("[WARNING]"), s.Log.Lines("[ERROR]")...); len(lines) > 0 {
				t.Errorf("it warns: %q", lines)
			}
		})
	}
}
