package resolvers_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// transferState has a name of each kind: a Service with more endpoints than are answered at a
// time, some with hostnames, named ports of one name and of two protocols, HTTPS, in-zone hosts,
// wildcards and an alias, and a host outside of the zone.
const transferState = `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: NS
  annotations: {minilb/host: "home-NS.minilb, *.x.NS.minilb, a.x.NS.minilb, web.NS.example", minilb/alpn: "h2,http/1.1"}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ports: [{name: https, port: 443, targetPort: 8443}, {name: dns, protocol: UDP, port: 53}, {name: dns-tcp, port: 53}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, namespace: NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: https, port: 8443}, {name: dns, protocol: UDP, port: 53}, {name: dns-tcp, port: 53}]
endpoints:
V4
- {addresses: [10.88.2.1], hostname: pod-0}
- {addresses: [10.88.2.2], hostname: pod-0}
- {addresses: [10.88.9.9], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: https, port: 8443}]
endpoints: [{addresses: ["fd88::7"]}, {addresses: ["fd88::"]}, {addresses: ["fd89::1"]}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ports: [{name: http, port: 80}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: alias, namespace: NS}
spec:
  rules:
  - {host: alias.NS.minilb, HTTP}
  - {host: alias.NS.example, HTTP}
  - {host: "*.alias.NS.minilb", HTTP}
status: {loadBalancer: {ingress: [{hostname: lb.aws.com}]}}
`

// transferEndpoints is how many endpoints of web have no hostname: more than max_answers.
const transferEndpoints = 40

// transferred returns the records of the zones in transferState, but for the SOA, sorted.
func transferred(ns string) map[string][]string {
	in := func(format string, args ...any) string {
		return strings.ReplaceAll(fmt.Sprintf(format, args...), "NS.", ns+".")
	}
	forward := []string{"minilb. 5 IN NS ns1.minilb.", "ns1.minilb. 5 IN A 127.0.0.1"}
	v4 := []string{"88.10.in-addr.arpa. 5 IN NS ns1.minilb."}
	v6 := []string{"0.0.0.0.0.0.0.0.0.0.0.0.8.8.d.f.ip6.arpa. 5 IN NS ns1.minilb."}
	hosts := []string{"web.NS.minilb.", "home-NS.minilb.", "*.x.NS.minilb.", "a.x.NS.minilb."}
	for i := range hosts {
		hosts[i] = strings.ReplaceAll(hosts[i], "NS.", ns+".")
		forward = append(forward, hosts[i]+` 5 IN HTTPS 1 . alpn="h2,http/1.1" port="8443"`)
	}
	endpoint := func(label string, ports []string, addrs ...string) {
		name := in("%s.web.NS.minilb.", label)
		for _, port := range ports {
			service, number, _ := strings.Cut(port, " ")
			forward = append(forward, in("%s.web.NS.minilb. 5 IN SRV 0 100 %s %s", service, number, name))
		}
		for _, addr := range addrs {
			rrtype := "A"
			if strings.Contains(addr, ":") {
				rrtype = "AAAA"
			}
			for _, owner := range append([]string{name}, hosts...) {
				forward = append(forward, fmt.Sprintf("%s 5 IN %s %s", owner, rrtype, addr))
			}
			reverse, _ := dns.ReverseAddr(addr)
			switch {
			case strings.HasSuffix(reverse, ".88.10.in-addr.arpa."):
				v4 = append(v4, reverse+" 5 IN PTR "+name)
			case strings.HasSuffix(reverse, ".0.0.0.0.8.8.d.f.ip6.arpa."):
				v6 = append(v6, reverse+" 5 IN PTR "+name)
			}
		}
	}
	all := []string{"_https._tcp 8443", "_dns._udp 53", "_dns-tcp._tcp 53"}
	for i := range transferEndpoints {
		endpoint(fmt.Sprintf("10-88-1-%d", i), all, fmt.Sprintf("10.88.1.%d", i))
	}
	endpoint("pod-0", all, "10.88.2.1", "10.88.2.2")
	for label, addr := range map[string]string{"fd88--7": "fd88::7", "fd88--0": "fd88::", "fd89--1": "fd89::1"} {
		endpoint(label, all[:1], addr)
	}
	forward = append(forward, in("alias.NS.minilb. 5 IN CNAME lb.aws.com."), in("*.alias.NS.minilb. 5 IN CNAME lb.aws.com."))
	for _, name := range []string{"empty.NS.minilb.", "_http._tcp.empty.NS.minilb."} { // they exist (D16, D18)
		forward = append(forward, in(`%s 5 IN HINFO "RFC8482" ""`, name))
	}
	zones := map[string][]string{"minilb.": forward, "88.10.in-addr.arpa.": v4, "0.0.0.0.0.0.0.0.0.0.0.0.8.8.d.f.ip6.arpa.": v6}
	for _, lines := range zones {
		slices.Sort(lines)
	}
	return zones
}

// TestTransfer asks for whole zones, with many programs (D29).
func TestTransfer(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	ns := harness.NewNamespace(t, c)
	var v4 strings.Builder
	for i := range transferEndpoints {
		fmt.Fprintf(&v4, "- {addresses: [10.88.1.%d]}\n", i)
	}
	harness.Must(t, harness.Apply(c, strings.NewReplacer("NS", ns, "V4\n", v4.String()).Replace(transferState)))
	whole := harness.FreePorts(t, 1)[0]
	properties := fmt.Sprintf("kubeconfig %s\nnamespaces %s\nhttps\n", c.Kubeconfig, ns)
	unread := filepath.Join(t.TempDir(), "kubeconfig")
	harness.Must(t, os.WriteFile(unread, []byte(`{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`), 0o600))
	block := func(keys, properties, more string) string {
		return keys + " {\nbind 127.0.0.1\nerrors\nminilb {\n" + properties + "}\n" + more + "\n}\n"
	}
	_, port, _ := net.SplitHostPort(whole)
	s := harness.StartCoreDNS(t,
		block("minilb:PORT 10.88.0.0/16:PORT fd88::/64:PORT", properties+"max_answers 2\n", "READY\ntransfer {\nto *\n}")+
			block(strings.ReplaceAll("minilb:PORT 10.88.0.0/16:PORT fd88::/64:PORT", "PORT", port), properties+"max_answers 0\n", "")+ // for comparison
			block("others:PORT", properties, "transfer {\nto 127.0.0.2\n}")+
			block("nobodys:PORT", properties, "")+
			block("unread:PORT", "kubeconfig "+unread+"\nstartup_timeout 0s\n", "transfer {\nto *\n}"))
	s.WaitReady(t)
	zones := transferred(ns)
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("alias."+ns+".minilb", dns.TypeCNAME, "lb.aws.com.") })

	for zone, want := range zones {
		t.Run(zone, func(t *testing.T) {
			rrs, err := axfr(s.Addr, zone)
			harness.Must(t, err)
			soa, content := envelope(t, rrs)
			if got := lines(content); !slices.Equal(got, want) {
				t.Errorf("the zone has not what it should:\n%s", difference(got, want))
			}
			if got := harness.Serials(t, s, zone)[0]; got != soa.Serial {
				t.Errorf("its serial is %d, that of a query %d", soa.Serial, got)
			}
			expectAnswered(t, whole, rrs)
			expectLoads(t, zone, rrs)

			for _, print := range [][]string{
				{harness.Program(t, "dig", "bind9-dnsutils"), "+noall", "+answer", "@127.0.0.1", "-p", harness.PortOf(s.Addr), zone, "AXFR"},
				{harness.Program(t, "kdig", "knot-dnsutils"), "+noall", "+answer", "@127.0.0.1", "-p", harness.PortOf(s.Addr), zone, "AXFR"},
				{harness.Program(t, "dig", "bind9-dnsutils"), "+noall", "+answer", "@127.0.0.1", "-p", harness.PortOf(s.Addr), zone, "IXFR=1"},
			} {
				out, err := harness.Run(t, print[0], print[1:]...)
				harness.Must(t, err)
				var got []dns.RR
				parser := dns.NewZoneParser(strings.NewReader(out), "", "")
				for rr, more := parser.Next(); more; rr, more = parser.Next() {
					got = append(got, rr)
				}
				harness.Must(t, parser.Err())
				if got := lines(got); !slices.Equal(got, lines(rrs)) {
					t.Errorf("%q printed another zone:\n%s", print, difference(got, lines(rrs)))
				}
			}

			for _, known := range []struct {
				serial  uint32
				records int
			}{
				{soa.Serial, 1},
				{soa.Serial + 1, 1},                // newer
				{soa.Serial + 1<<31 - 1, 1},        // newer, if barely so (RFC 1982)
				{soa.Serial - 1, len(rrs)},         // older
				{soa.Serial - 1<<31 + 1, len(rrs)}, // older, if barely so
			} {
				got, err := ixfr(s.Addr, zone, known.serial)
				harness.Must(t, err)
				if len(got) != known.records || got[0].Header().Rrtype != dns.TypeSOA {
					t.Errorf("IXFR of serial %d since %d: got %d records, want %d, the first a SOA: %v", soa.Serial, known.serial, len(got), known.records, got[0])
				}
			}
		})
	}

	t.Run("refused", func(t *testing.T) {
		for _, tt := range []struct {
			zone, network string
			rcode         int
		}{
			{"others.", "tcp", dns.RcodeRefused},
			{"nobodys.", "tcp", dns.RcodeRefused},
			{"unread.", "tcp", dns.RcodeServerFailure}, // D72
			{"minilb.", "udp", dns.RcodeRefused},       // RFC 5936 §4.2; plugin transfer refuses IXFR there, too
			{ns + ".minilb.", "tcp", dns.RcodeRefused}, // no zone's apex
			{"1.88.10.in-addr.arpa.", "tcp", dns.RcodeRefused},
		} {
			for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
				q := new(dns.Msg).SetQuestion(tt.zone, qtype)
				if qtype == dns.TypeIXFR {
					q.SetIxfr(tt.zone, 1, "ns1.minilb.", "hostmaster.minilb.")
				}
				client := dns.Client{Net: tt.network, Timeout: 5 * time.Second}
				reply, _, err := client.Exchange(q, s.Addr)
				harness.Must(t, err)
				if reply.Rcode != tt.rcode || len(reply.Answer)+len(reply.Ns)+len(reply.Extra) > 0 {
					t.Errorf("%s %s over %s: want %s and no record, got\n%s", tt.zone, dns.TypeToString[qtype], tt.network, dns.RcodeToString[tt.rcode], reply)
				}
			}
		}
	})
}

// axfr returns all records of a zone, as they are transferred.
func axfr(addr, zone string) ([]dns.RR, error) {
	return harness.Transfer(addr, new(dns.Msg).SetAxfr(dns.Fqdn(zone)))
}

// ixfr returns what somebody is sent who has a version of the zone.
func ixfr(addr, zone string, serial uint32) ([]dns.RR, error) {
	return harness.Transfer(addr, new(dns.Msg).SetIxfr(dns.Fqdn(zone), serial, "ns1.minilb.", "hostmaster.minilb."))
}

// envelope takes the SOA off both ends of a transferred zone, which must be the same.
func envelope(t *testing.T, rrs []dns.RR) (*dns.SOA, []dns.RR) {
	t.Helper()
	first, ok := rrs[0].(*dns.SOA)
	if last := rrs[len(rrs)-1]; !ok || len(rrs) < 3 || first.String() != last.String() {
		t.Fatalf("%d records, the first %v, the last %v, want the same SOA", len(rrs), rrs[0], last)
	}
	return first, rrs[1 : len(rrs)-1]
}

// lines returns records as sorted lines. Each counts as often as it is there.
func lines(rrs []dns.RR) []string {
	var lines []string
	for _, rr := range rrs {
		lines = append(lines, harness.Blanks.ReplaceAllString(rr.String(), " "))
	}
	slices.Sort(lines)
	return lines
}

// difference returns what is in one of two sets of lines alone.
func difference(got, want []string) string {
	var out strings.Builder
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&out, "only got  %s\n", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&out, "only want %s\n", line)
		}
	}
	fmt.Fprintf(&out, "got %d, want %d", len(got), len(want))
	return out.String()
}

// expectAnswered asks for each name of a transferred zone and for each type: what is answered
// must be what was transferred.
func expectAnswered(t *testing.T, addr string, zone []dns.RR) {
	t.Helper()
	sets := map[string]map[uint16][]dns.RR{}
	for _, rr := range zone[:len(zone)-1] {
		h := rr.Header()
		if sets[h.Name] == nil {
			sets[h.Name] = map[uint16][]dns.RR{}
		}
		sets[h.Name][h.Rrtype] = append(sets[h.Name][h.Rrtype], rr)
	}
	for name, byType := range sets {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeHTTPS, dns.TypePTR, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeSVCB} {
			reply, err := harness.Ask(addr, "tcp", name, qtype)
			harness.Must(t, err)
			want := byType[qtype]
			if alias := byType[dns.TypeCNAME]; alias != nil {
				want = alias
			}
			if got := lines(reply.Answer); !slices.Equal(noSerial(got), noSerial(lines(want))) {
				t.Errorf("%s %s: what is answered is not what is transferred:\n%s", name, dns.TypeToString[qtype], difference(got, lines(want)))
			}
		}
	}
}

// noSerial takes the serials out of SOA records: two servers have their own.
func noSerial(lines []string) []string {
	for i := range lines {
		lines[i] = harness.Serial.ReplaceAllString(lines[i], "$1 SERIAL ")
	}
	return lines
}

var checkedSerial = regexp.MustCompile(`loaded serial (\d+)`)

// expectLoads lets other people's programs judge a transferred zone.
func expectLoads(t *testing.T, zone string, rrs []dns.RR) {
	t.Helper()
	var text strings.Builder
	for _, rr := range rrs[:len(rrs)-1] {
		text.WriteString(rr.String() + "\n")
	}
	path := filepath.Join(t.TempDir(), "zone")
	harness.Must(t, os.WriteFile(path, []byte(text.String()), 0o600))
	out, err := harness.Run(t, harness.Program(t, "named-checkzone", "bind9-utils"), "-i", "local", "-k", "fail", "-m", "fail", "-n", "fail", "-r", "fail", "-S", "fail", zone, path)
	harness.Must(t, err)
	want := strconv.FormatUint(uint64(rrs[0].(*dns.SOA).Serial), 10)
	if found := checkedSerial.FindStringSubmatch(out); found == nil || found[1] != want || strings.Count(out, "\n") != 2 {
		t.Errorf("named-checkzone %s, want it to load serial %s without a complaint: got\n%s", zone, want, out)
	}
	out, err = harness.Run(t, harness.Program(t, "ldns-read-zone", "ldnsutils"), path)
	harness.Must(t, err)
	if got := strings.Count(out, "\n"); got != len(rrs)-1 {
		t.Errorf("ldns-read-zone %s: read %d records, want %d", zone, got, len(rrs)-1)
	}
}
