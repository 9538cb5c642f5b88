package resolvers_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestEncrypted asks the server of the man page over TLS, HTTPS and QUIC, with programs that
// are not ours.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ns := harness.NewNamespace(t, c)
	inNamespace := strings.NewReplacer("NS.", ns+".", "namespace: NS", "namespace: "+ns).Replace
	harness.Must(t, harness.Apply(c, inNamespace(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.7.0.1]}, {addresses: [10.7.0.2]}]
`)))
	const host = "dns.lan.test"
	cert := harness.NewCertificate(t, host)
	corefile, addrs := harness.OnLoopback(t, documentedCorefile(t, "tls://"), harness.StartUpstream(t), kubeconfig, cert)
	s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+kubeconfig)
	cluster.Eventually(t, 30*time.Second, func() error {
		return s.Expect(inNamespace("web.NS.minilb."), dns.TypeA, "10.7.0.1", "10.7.0.2")
	})

	kdig := func(transport string, trust harness.Certificate, server string, more ...string) func(string, uint16) (harness.Message, error) {
		path := harness.Program(t, "kdig", "knot-dnsutils")
		address, port, _ := net.SplitHostPort(addrs[transport])
		args := []string{"@" + address, "-p", port, "+tls-ca=" + trust.Authority, "+tls-hostname=" + server, "+" + transport, "+timeout=5", "+retry=0", "+noidn"} // IDN would ask in lower case
		return func(name string, qtype uint16) (harness.Message, error) {
			out, err := harness.Run(t, path, slices.Concat(args, more, []string{name, dns.TypeToString[qtype]})...)
			if err != nil {
				return harness.Message{}, err
			}
			if !strings.Contains(out, "TLS session") && !strings.Contains(out, "QUIC session") {
				return harness.Message{}, fmt.Errorf("kdig did not say that it was encrypted:\n%s", out)
			}
			return printedMessage(out)
		}
	}
	curl := func(post bool, trust harness.Certificate, server string) func(string, uint16) (harness.Message, error) {
		path := harness.Program(t, "curl", "curl")
		_, port, _ := net.SplitHostPort(addrs["https"])
		return func(name string, qtype uint16) (harness.Message, error) {
			m := new(dns.Msg).SetQuestion(name, qtype)
			m.Id = 0 // RFC 8484 §4.1
			query, err := m.Pack()
			harness.Must(t, err)
			body, headers := filepath.Join(t.TempDir(), "body"), filepath.Join(t.TempDir(), "headers")
			url := "https://" + server + ":" + port + "/dns-query"
			args := []string{"-sS", "--fail", "--max-time", "10", "--resolve", server + ":" + port + ":127.0.0.1", "--cacert", trust.Authority, "-H", "accept: application/dns-message", "-o", body, "-D", headers}
			if post {
				harness.Must(t, os.WriteFile(body+".query", query, 0o600))
				args = append(args, "-H", "content-type: application/dns-message", "--data-binary", "@"+body+".query", url)
			} else {
				args = append(args, url+"?dns="+base64.RawURLEncoding.EncodeToString(query))
			}
			if _, err := harness.Run(t, path, args...); err != nil {
				return harness.Message{}, err
			}
			raw, err := os.ReadFile(body)
			harness.Must(t, err)
			head, err := os.ReadFile(headers)
			harness.Must(t, err)
			for _, want := range []string{"HTTP/2 200", "content-type: application/dns-message"} {
				if !bytes.Contains(head, []byte(want)) {
					return harness.Message{}, fmt.Errorf("no %q among\n%s", want, head)
				}
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(raw); err != nil {
				return harness.Message{}, err
			}
			// RFC 8484 §5.1: an HTTP cache may not keep it for longer than its TTL.
			if reply.Authoritative && !bytes.Contains(head, []byte("cache-control: max-age=5\r\n")) {
				return harness.Message{}, fmt.Errorf("TTL 5, but\n%s", head)
			}
			return harness.MessageOf(reply), nil
		}
	}
	clients := map[string]func(string, uint16) (harness.Message, error){
		"kdig +tls":       kdig("tls", cert, host),
		"kdig +https":     kdig("https", cert, host),
		"kdig +https-get": kdig("https", cert, host, "+https-get"),
		"kdig +quic":      kdig("quic", cert, host),
		"curl GET":        curl(false, cert, host),
		"curl POST":       curl(true, cert, host),
	}
	soa := "minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	questions := []struct {
		name  string
		qtype uint16
		want  harness.Message
	}{
		{"WeB.NS.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"WeB.NS.minilb. 5 IN A 10.7.0.1", "WeB.NS.minilb. 5 IN A 10.7.0.2"}}}, // D20, D22
		{"_http._tcp.web.NS.minilb.", dns.TypeSRV, harness.Message{ // D41
			Flags:  "aa",
			Answer: []string{"_http._tcp.web.NS.minilb. 5 IN SRV 0 100 8080 10-7-0-1.web.NS.minilb.", "_http._tcp.web.NS.minilb. 5 IN SRV 0 100 8080 10-7-0-2.web.NS.minilb."},
			Extra:  []string{"10-7-0-1.web.NS.minilb. 5 IN A 10.7.0.1", "10-7-0-2.web.NS.minilb. 5 IN A 10.7.0.2"},
		}},
		{"web.NS.minilb.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{soa}}}, // D25
		{"nope.NS.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		// D3; the Corefile has a cache, whose TTLs count down.
		{"CLIENT.example.", dns.TypeTXT, harness.Message{Flags: "ra", Answer: []string{`CLIENT.example. 60 IN TXT "upstream"`}}},
	}
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			own := strings.NewReplacer("NS.", ns+".", "CLIENT.", strings.NewReplacer(" ", "", "+", "").Replace(name)+".").Replace
			for _, q := range questions {
				got, err := ask(own(q.name), q.qtype)
				if err != nil {
					t.Errorf("%s %s: %v", q.name, dns.TypeToString[q.qtype], err)
				} else if want := own(q.want.String()); got.String() != want {
					t.Errorf("%s %s:\ngot  %s\nwant %s", q.name, dns.TypeToString[q.qtype], got, want)
				}
			}
		})
	}

	t.Run("curl --doh-url", func(t *testing.T) {
		_, port, _ := net.SplitHostPort(addrs["https"])
		// From loopback there is no way to the pods, so that nothing leaves the machine; curl says whom it tries.
		out, err := harness.Run(t, harness.Program(t, "curl", "curl"), "-sSv", "--ipv4", "--interface", "127.0.0.1", "--max-time", "10", "--cacert", cert.Authority, "--doh-url", "https://"+host+":"+port+"/dns-query", "--resolve", host+":"+port+":127.0.0.1", inNamespace("http://web.NS.minilb:8080/"))
		var tried []string
		for _, match := range regexp.MustCompile(`Trying (10\.\S+):8080`).FindAllStringSubmatch(out, -1) {
			tried = append(tried, match[1])
		}
		slices.Sort(tried)
		if !slices.Equal(tried, []string{"10.7.0.1", "10.7.0.2"}) {
			t.Errorf("curl tried %q, want both pods: %v\n%s", tried, err, out)
		}
	})

	t.Run("verification", func(t *testing.T) {
		const wrong = "other.lan.test"
		stranger := harness.NewCertificate(t, host)
		for name, ask := range map[string]func(string, uint16) (harness.Message, error){
			"kdig +tls, another name":        kdig("tls", cert, wrong),
			"kdig +https, another name":      kdig("https", cert, wrong),
			"kdig +tls, another authority":   kdig("tls", stranger, host),
			"kdig +https, another authority": kdig("https", stranger, host),
			"curl, another name":             curl(false, cert, wrong),
			"curl, another authority":        curl(true, stranger, host),
		} {
			if got, err := ask(inNamespace("web.NS.minilb."), dns.TypeA); err == nil || !strings.Contains(strings.ToLower(err.Error()), "certificate") {
				t.Errorf("%s: got %s, %v; want that the certificate is refused", name, got, err)
			}
		}
	})

	t.Run("renewal", func(t *testing.T) {
		renewed := harness.NewCertificate(t, host)
		harness.Must(t, errors.Join(os.Rename(renewed.Chain, cert.Chain), os.Rename(renewed.Key, cert.Key), os.Rename(renewed.Authority, cert.Authority)))
		if _, err := clients["kdig +tls"](inNamespace("web.NS.minilb."), dns.TypeA); err == nil {
			t.Error("the new certificate is there without a signal: the man page says otherwise")
		}
		harness.Must(t, s.Cmd.Process.Signal(syscall.SIGUSR1))
		for name, ask := range clients {
			cluster.Eventually(t, 20*time.Second, func() error {
				_, err := ask(inNamespace("web.NS.minilb."), dns.TypeA)
				if err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				return err
			})
		}
	})
}

// documentedCorefile returns the man page's only example that has the text.
func documentedCorefile(t *testing.T, text string) string {
	t.Helper()
	page, err := os.ReadFile("../../plugin/minilb/README.md")
	harness.Must(t, err)
	var found []string
	for _, block := range harness.CorefileBlock.FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(block[1], text) {
			found = append(found, block[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("the man page has %d Corefiles with %q, want one", len(found), text)
	}
	return found[0]
}

// printedMessage reads what kdig prints.
func printedMessage(text string) (harness.Message, error) {
	reply := new(dns.Msg)
	header := regexp.MustCompile(`status: (\w+);`).FindStringSubmatch(text)
	flags := regexp.MustCompile(`Flags: ([^;]*);`).FindStringSubmatch(text)
	if header == nil || flags == nil {
		return harness.Message{}, fmt.Errorf("no header:\n%s", text)
	}
	rcode, ok := dns.StringToRcode[header[1]]
	if !ok {
		return harness.Message{}, fmt.Errorf("rcode %s", header[1])
	}
	reply.Rcode = rcode
	set := strings.Fields(flags[1])
	reply.Authoritative, reply.Truncated = slices.Contains(set, "aa"), slices.Contains(set, "tc")
	reply.RecursionAvailable, reply.AuthenticatedData = slices.Contains(set, "ra"), slices.Contains(set, "ad")
	var section *[]dns.RR
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); line {
		case ";; ANSWER SECTION:":
			section = &reply.Answer
		case ";; AUTHORITY SECTION:":
			section = &reply.Ns
		case ";; ADDITIONAL SECTION:":
			section = &reply.Extra
		default:
			if line == "" || strings.HasPrefix(line, ";") {
				continue
			}
			rr, err := dns.NewRR(line)
			if err != nil || section == nil {
				return harness.Message{}, fmt.Errorf("%q: %v\n%s", line, err, text)
			}
			*section = append(*section, rr)
		}
	}
	return harness.MessageOf(reply), nil
}
