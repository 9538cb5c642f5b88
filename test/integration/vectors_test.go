package integration_test

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// vectorState is the state of the conformance vectors, without the younger claim of evil.
const vectorState = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: evil}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: empty}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 5432}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: shop}
spec:
  rules:
  - {host: a.ex.org, http: &http {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: https}}}}]}}
  - {host: "*.w.ex.org", http: *http}
status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}
`

// vectorGateway is a route whose Gateway has the name of somebody else's load balancer.
var vectorGateway = strings.ReplaceAll(manifest(gateway{addresses: "{type: Hostname, value: lb.aws.com}"}, route{hosts: "x.g.ex.org"}), "NS", "shop")

const vectorEvil = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: evil}
spec:
  rules:
  - {host: a.ex.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}
status: {loadBalancer: {ingress: [{ip: 6.6.6.6}]}}
`

// awsSOA is what upstream says of the zone that the route's Gateway leads to.
const awsSOA = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. 1 2 3 4 60"

// vectorServer is the conformance vectors' cluster, and the server that answers for it.
type vectorServer struct {
	*coredns
	cluster    *cluster.Cluster
	kubeconfig string
	upstream   string
}

func startVectors(t *testing.T) *vectorServer {
	t.Helper()
	c := cluster.New(t, cluster.Options{})
	installGatewayAPI(t, c, cluster.NewestGatewayAPI)
	kubeconfig := shippedAccounts(t, c).dns
	ctx := t.Context()
	must(t, c.Node(ctx, "n1", "192.168.1.31"))
	must(t, c.Apply(ctx, vectorState))
	must(t, c.Apply(ctx, vectorGateway))
	must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-7", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}}))
	must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-8", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.8"}}))
	must(t, c.Terminate(ctx, "shop", "web-8"))
	time.Sleep(1100 * time.Millisecond) // creationTimestamp has seconds: let the other be younger
	must(t, c.Apply(ctx, vectorEvil))

	up := startUpstream(t, "lb.aws.com. 60 IN A 198.51.100.1", awsSOA)
	// Whole messages are compared: the cache is not to count down what is upstream's.
	s := startCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		errors
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
		cache {
			keepttl
		}
		forward . `+up+`
	}`)
	s.waitReady(t)
	t.Cleanup(func() { t.Logf("coredns said:\n%s", s.log) })
	cluster.Eventually(t, 10*time.Second, func() error { return s.expect("a.ex.org", dns.TypeA, "10.244.1.7") })
	return &vectorServer{coredns: s, cluster: c, kubeconfig: kubeconfig, upstream: up}
}

// TestVectors asks the questions of the conformance vectors and compares whole messages: as
// the library reads them, and as dig prints them.
func TestVectors(t *testing.T) {
	s := startVectors(t)
	t.Run("messages", func(t *testing.T) { testMessages(t, s) })
	t.Run("transfer", func(t *testing.T) { testTransfer(t, s) })
	t.Run("fallback to terminating", func(t *testing.T) { testFallback(t, s) })
	t.Run("dig", func(t *testing.T) { testDig(t, s) })
}

// vector is a question and what it is answered with.
type vector struct {
	name  string
	qtype uint16
	want  message
}

// vectors are the questions that the plugin answers, and those that it passes on.
func vectors() (answered, passed []vector) {
	soa := "minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	overlaySOA := "a.ex.org. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	answered = []vector{
		// D22: the case of the question; E3: the terminating pod is not answered beside a ready one.
		{"WeB.shop.minilb.", dns.TypeA, message{flags: "aa", answer: []string{"WeB.shop.minilb. 5 IN A 10.244.1.7"}}},
		{"web.shop.minilb.", dns.TypeAAAA, message{flags: "aa", authority: []string{soa}}},
		{"web.shop.minilb.", dns.TypeTXT, message{flags: "aa", authority: []string{soa}}},   // D19
		{"web.shop.minilb.", dns.TypeHTTPS, message{flags: "aa", authority: []string{soa}}}, // D19, D50
		{"empty.shop.minilb.", dns.TypeA, message{flags: "aa", authority: []string{soa}}},   // D18
		{"db.shop.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"nope.shop.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"x.y.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"x.web.shop.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"a.b.web.shop.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},                                  // D16
		{"shop.minilb.", dns.TypeA, message{flags: "aa", authority: []string{soa}}},                                                                     // D12
		{"minilb.", dns.TypeSOA, message{flags: "aa", answer: []string{soa}}},                                                                           // D24
		{"minilb.", dns.TypeNS, message{flags: "aa", answer: []string{"minilb. 5 IN NS ns1.minilb."}, extra: []string{"ns1.minilb. 5 IN A 127.0.0.1"}}}, // D26
		{"minilb.", dns.TypeA, message{flags: "aa", authority: []string{soa}}},                                                                          // D27
		{"MINILB.", dns.TypeTXT, message{flags: "aa", authority: []string{soa}}},
		{"ns1.minilb.", dns.TypeA, message{flags: "aa", answer: []string{"ns1.minilb. 5 IN A 127.0.0.1"}}},
		{"ns1.minilb.", dns.TypeAAAA, message{flags: "aa", authority: []string{soa}}},
		// D40-D42: the port of the pods, by their names.
		{"_https._tcp.web.shop.minilb.", dns.TypeSRV, message{
			flags: "aa", answer: []string{"_https._tcp.web.shop.minilb. 5 IN SRV 0 100 8443 10-244-1-7.web.shop.minilb."}, extra: []string{"10-244-1-7.web.shop.minilb. 5 IN A 10.244.1.7"},
		}},
		{"_HTTPS._tcp.web.shop.MiniLB.", dns.TypeSRV, message{
			flags: "aa", answer: []string{"_HTTPS._tcp.web.shop.MiniLB. 5 IN SRV 0 100 8443 10-244-1-7.web.shop.MiniLB."}, extra: []string{"10-244-1-7.web.shop.MiniLB. 5 IN A 10.244.1.7"},
		}},
		{"10-244-1-7.web.shop.minilb.", dns.TypeA, message{flags: "aa", answer: []string{"10-244-1-7.web.shop.minilb. 5 IN A 10.244.1.7"}}},
		{"10-244-1-7.web.shop.minilb.", dns.TypeAAAA, message{flags: "aa", authority: []string{soa}}},
		{"_tcp.web.shop.minilb.", dns.TypeA, message{flags: "aa", authority: []string{soa}}},
		{"_https._tcp.web.shop.minilb.", dns.TypeA, message{flags: "aa", authority: []string{soa}}},
		{"web.shop.minilb.", dns.TypeSRV, message{flags: "aa", authority: []string{soa}}},
		{"10-244-1-8.web.shop.minilb.", dns.TypeA, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}}, // it terminates
		{"_https._udp.web.shop.minilb.", dns.TypeSRV, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"_http._tcp.web.shop.minilb.", dns.TypeSRV, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},
		{"a.ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"a.ex.org. 5 IN A 10.244.1.7"}}},         // M3, C2
		{"A.Ex.oRg.", dns.TypeA, message{flags: "aa", answer: []string{"A.Ex.oRg. 5 IN A 10.244.1.7"}}},         // D22
		{"a.ex.org.", dns.TypeAAAA, message{flags: "aa", authority: []string{overlaySOA}}},                      // D5
		{"a.ex.org.", dns.TypeHTTPS, message{flags: "aa", authority: []string{overlaySOA}}},                     // D6
		{"q.w.ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"q.w.ex.org. 5 IN A 10.244.1.7"}}},     // D10
		{"p.q.w.ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"p.q.w.ex.org. 5 IN A 10.244.1.7"}}}, // I4
		{"*.w.ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"*.w.ex.org. 5 IN A 10.244.1.7"}}},     // D13
		// D30: the alias and what upstream says of it, in one message.
		{"x.g.ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", "x.g.ex.org. 5 IN CNAME lb.aws.com."}}},
		{"X.g.Ex.org.", dns.TypeA, message{flags: "aa", answer: []string{"X.g.Ex.org. 5 IN CNAME lb.aws.com.", "lb.aws.com. 60 IN A 198.51.100.1"}}},
		{"x.g.ex.org.", dns.TypeAAAA, message{flags: "aa", answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}, authority: []string{serial.ReplaceAllString(awsSOA, "$1 SERIAL ")}}}, // D31
		{"x.g.ex.org.", dns.TypeCNAME, message{flags: "aa", answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}}},
		{"web.shop.minilb.", dns.TypeANY, message{flags: "aa", answer: []string{`web.shop.minilb. 5 IN HINFO "RFC8482" ""`}}}, // D28
		{"nope.shop.minilb.", dns.TypeANY, message{rcode: dns.RcodeNameError, flags: "aa", authority: []string{soa}}},         // D28
	}
	// D3, D6: what is not ours is forwarded, its answer untouched.
	for _, v := range []struct {
		name  string
		qtype uint16
	}{
		{"a.ex.org.", dns.TypeMX}, {"x.g.ex.org.", dns.TypeMX}, {"g.ex.org.", dns.TypeA}, {"y.g.ex.org.", dns.TypeA}, {"z.x.g.ex.org.", dns.TypeA}, {"a.ex.org.", dns.TypeNS}, {"a.ex.org.", dns.TypeSOA}, {"a.ex.org.", dns.TypeDS},
		{"b.ex.org.", dns.TypeA}, {"z.a.ex.org.", dns.TypeA}, {"w.ex.org.", dns.TypeA}, {"ex.org.", dns.TypeA}, {"org.", dns.TypeA},
		{"minilb.example.", dns.TypeA}, {"xminilb.", dns.TypeA},
	} {
		passed = append(passed, vector{v.name, v.qtype, message{flags: "ra", answer: []string{v.name + ` 60 IN TXT "upstream"`}}})
	}
	return answered, passed
}

func testMessages(t *testing.T, s *vectorServer) {
	answered, passed := vectors()
	for _, v := range slices.Concat(answered, passed) {
		for _, network := range []string{"udp", "tcp"} {
			reply, err := s.ask(network, v.name, v.qtype)
			if err != nil {
				t.Errorf("%s: %v", network, err)
				continue
			}
			if got, want := messageOf(reply).String(), v.want.String(); got != want {
				t.Errorf("%s %s %s:\ngot  %s\nwant %s", network, v.name, dns.TypeToString[v.qtype], got, want)
			}
			if q := reply.Question; len(q) != 1 || q[0].Name != v.name || q[0].Qtype != v.qtype {
				t.Errorf("%s %s: the question came back as %v", network, v.name, q)
			}
		}
	}
}

// testTransfer asks for transfers that nothing allows (D29).
func testTransfer(t *testing.T, s *vectorServer) {
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		if err := s.expectRcode("minilb.", qtype, dns.RcodeRefused); err != nil { // though forward stands behind
			t.Error(err)
		}
	}
	alone := startCoreDNS(t, `minilb:PORT example.org:PORT {
		bind 127.0.0.1
		minilb minilb {
			kubeconfig `+s.kubeconfig+`
		}
	}`)
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		if err := alone.expectRcode("minilb.", qtype, dns.RcodeRefused); err != nil {
			t.Error(err)
		}
	}
	// D4: outside the zones, with nothing behind.
	if err := alone.expectRcode("www.example.org.", dns.TypeA, dns.RcodeRefused); err != nil {
		t.Error(err)
	}
}

// testFallback takes the readiness of the only pod that does not terminate (E3).
func testFallback(t *testing.T, s *vectorServer) {
	must(t, s.cluster.SetReady(t.Context(), "shop", "web-7", false))
	for _, name := range []string{"web.shop.minilb", "a.ex.org", "x.w.ex.org"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.expect(name, dns.TypeA, "10.244.1.8") })
	}
	t.Run("dig", func(t *testing.T) { testFallbackDig(t, s) })
	must(t, s.cluster.SetReady(t.Context(), "shop", "web-7", true))
	cluster.Eventually(t, 10*time.Second, func() error { return s.expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
}

// message is what of a reply is compared: all but its ID, and with the serials taken out.
type message struct {
	rcode                    int
	flags                    string // of aa, tc, ra, ad
	answer, authority, extra []string
}

func (m message) String() string {
	return fmt.Sprintf("%s [%s] ANSWER %q AUTHORITY %q ADDITIONAL %q", dns.RcodeToString[m.rcode], m.flags, m.answer, m.authority, m.extra)
}

var (
	blanks = regexp.MustCompile(`\s+`)
	serial = regexp.MustCompile(`(SOA \S+ \S+) \d+ `)
)

func messageOf(m *dns.Msg) message {
	section := func(rrs []dns.RR) []string {
		var lines []string
		for _, rr := range rrs {
			lines = append(lines, serial.ReplaceAllString(blanks.ReplaceAllString(rr.String(), " "), "$1 SERIAL "))
		}
		slices.Sort(lines)
		return lines
	}
	var flags []string
	for flag, set := range map[string]bool{"aa": m.Authoritative, "tc": m.Truncated, "ra": m.RecursionAvailable, "ad": m.AuthenticatedData} {
		if set {
			flags = append(flags, flag)
		}
	}
	slices.Sort(flags)
	return message{rcode: m.Rcode, flags: strings.Join(flags, " "), answer: section(m.Answer), authority: section(m.Ns), extra: section(m.Extra)}
}

// startUpstream runs a resolver that answers every question with a TXT record "upstream", so
// that a test sees what was passed on to it, and returns its address. For names that have some
// of these records it answers with them, or with the SOA record among them.
func startUpstream(t *testing.T, records ...string) string {
	t.Helper()
	return startDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		q := r.Question[0]
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		known := false
		for _, record := range records {
			switch rr, _ := dns.NewRR(record); {
			case rr.Header().Rrtype == dns.TypeSOA:
				m.Ns = append(m.Ns, rr)
			case strings.EqualFold(rr.Header().Name, q.Name):
				known = true
				if rr.Header().Rrtype == q.Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		if len(m.Answer) > 0 || !known {
			m.Ns = nil
		}
		if !known {
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{"upstream"}}}
		}
		w.WriteMsg(m)
	}))
}

// startDNS serves the handler over UDP and TCP on loopback until the test ends.
func startDNS(t *testing.T, handler dns.Handler) string {
	t.Helper()
	addr := freePorts(t, 1)[0]
	packets, err := net.ListenPacket("udp", addr)
	must(t, err)
	listener, err := net.Listen("tcp", addr)
	must(t, err)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
	}
	return addr
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
