package integration_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

var (
	corefileBlock = regexp.MustCompile("(?ms)^(?:```|~~~) *corefile\n(.*?)^(?:```|~~~)$")
	serverBlock   = regexp.MustCompile(`(?m)^([^\s#{][^{\n]*)\{$`)
	secondaryLine = regexp.MustCompile(`(?m)^( *to )192.*$`)
	upstreamLine  = regexp.MustCompile(`(?m)^( *forward \.) .*$`)
)

// TestDocumentedCorefiles starts every Corefile of the documentation with the real binary:
// ports and addresses are moved to loopback, all else is as it is written.
func TestDocumentedCorefiles(t *testing.T) {
	c := cluster.New(t, cluster.Options{}) // nobody else's hosts to warn of
	kubeconfig := shippedAccounts(t, c).dns
	up := startUpstream(t)
	cert := newCertificate(t, "dns.lan.test")
	corefiles := map[string]string{}
	for _, path := range documentation(t) {
		text, err := os.ReadFile(filepath.Join("../..", path))
		must(t, err)
		for _, block := range corefileBlock.FindAllStringSubmatch(string(text), -1) {
			corefiles[path+": "+strings.SplitN(block[1], "\n", 2)[0]+" "+strings.Join(strings.Fields(block[1])[3:6], " ")] = block[1]
		}
		if path == "plugin/minilb/README.md" && len(corefiles) < 4 {
			t.Errorf("found %d Corefiles in the man page, want at least 4", len(corefiles))
		}
	}
	for _, path := range []string{"Corefile.example", "deploy/systemd/Corefile"} {
		text, err := os.ReadFile(filepath.Join("../..", path))
		must(t, err)
		corefiles[path] = string(text)
	}

	for name, corefile := range corefiles {
		t.Run(name, func(t *testing.T) {
			corefile, _ := onLoopback(t, corefile, up, kubeconfig, cert)
			s := startCoreDNS(t, corefile, "KUBECONFIG="+kubeconfig)
			zone := "minilb"
			if strings.Contains(corefile, "minilb minilb.example.org") {
				zone = "minilb.example.org"
			}
			soa, rcode, err := s.answers(zone, dns.TypeSOA)
			if err != nil || rcode != dns.RcodeSuccess || len(soa) != 1 {
				t.Errorf("%s SOA: got %v, %s, %v\n%s", zone, soa, dns.RcodeToString[rcode], err, s.log)
			}
			if reply, err := s.ask("udp", zone, dns.TypeSOA); err == nil && reply.RecursionAvailable != strings.Contains(corefile, "response set ra") {
				t.Errorf("recursion is available: %v\n%s", reply.RecursionAvailable, corefile)
			}
			if lines := append(s.log.lines("[WARNING]"), s.log.lines("[ERROR]")...); len(lines) > 0 {
				t.Errorf("it warns: %q", lines)
			}
		})
	}
}

// onLoopback moves what a documented Corefile says of ports, addresses and files to those of a
// test, for startCoreDNS. It returns where its encrypted transports listen, too.
func onLoopback(t *testing.T, corefile, upstream, kubeconfig string, cert certificate) (string, map[string]string) {
	t.Helper()
	encrypted := map[string]string{}
	corefile = serverBlock.ReplaceAllStringFunc(corefile, func(line string) string {
		var keys []string
		for _, key := range strings.Fields(strings.TrimSuffix(line, "{")) {
			transport, zone, found := strings.Cut(key, "://")
			if !found {
				zone = key
			}
			if host, _, err := net.SplitHostPort(zone); err == nil {
				zone = host
			}
			if !found {
				keys = append(keys, zone+":PORT")
				continue
			}
			if encrypted[transport] == "" {
				encrypted[transport] = freePorts(t, 1)[0]
			}
			_, port, err := net.SplitHostPort(encrypted[transport])
			must(t, err)
			keys = append(keys, transport+"://"+zone+":"+port)
		}
		return strings.Join(keys, " ") + " {\nbind 127.0.0.1"
	})
	corefile = secondaryLine.ReplaceAllString(corefile, "${1}*")
	corefile = upstreamLine.ReplaceAllString(corefile, "$1 "+upstream)
	corefile = regexp.MustCompile(`(?m)^( *)health.*$`).ReplaceAllString(corefile, "${1}HEALTH")
	corefile = regexp.MustCompile(`(?m)^( *)ready.*$`).ReplaceAllString(corefile, "${1}READY")
	corefile = regexp.MustCompile(`(?m)^( *)prometheus.*$`).ReplaceAllString(corefile, "${1}PROM")
	for path, here := range map[string]string{"/var/lib/minilb": t.TempDir(), "/etc/minilb/kubeconfig": kubeconfig, "/etc/minilb/tls.crt": cert.chain, "/etc/minilb/tls.key": cert.key} {
		corefile = strings.ReplaceAll(corefile, path, here)
	}
	if key := "/etc/minilb/Kminilb.+013+12345"; strings.Contains(corefile, key) {
		corefile = strings.ReplaceAll(corefile, key, newZoneKey(t, "minilb").base)
	}
	return corefile, encrypted
}
