package dns_test

import (
	"github.com/minilb/minilb/test/harness"

	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// vectorGateway is a route whose Gateway has the name of somebody else's load balancer.
var vectorGateway = strings.ReplaceAll(harness.Manifest(harness.Gateway{Addresses: "{type: Hostname, value: lb.aws.com}"}, harness.Route{Hosts: "x.g.ex.org"}), "NS", "shop")

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
	*harness.CoreDNS
	cluster    *cluster.Cluster
	kubeconfig string
	upstream   string
}

func startVectors(t *testing.T) *vectorServer {
	t.Helper()
	c := cluster.New(t, cluster.Options{})
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	harness.Must(t, c.Node(ctx, "n1", "192.168.1.31"))
	harness.Must(t, c.Apply(ctx, harness.VectorState))
	harness.Must(t, c.Apply(ctx, vectorGateway))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-7", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-8", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.8"}}))
	harness.Must(t, c.Terminate(ctx, "shop", "web-8"))
	time.Sleep(1100 * time.Millisecond) // creationTimestamp has seconds: let the other be younger
	harness.Must(t, c.Apply(ctx, vectorEvil))

	up := harness.StartUpstream(t, "lb.aws.com. 60 IN A 198.51.100.1", awsSOA)
	// Whole messages are compared: the cache is not to count down what is upstream's.
	s := harness.StartCoreDNS(t, `.:PORT {
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
	s.WaitReady(t)
	t.Cleanup(func() { t.Logf("coredns said:\n%s", s.Log) })
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("a.ex.org", dns.TypeA, "10.244.1.7") })
	return &vectorServer{CoreDNS: s, cluster: c, kubeconfig: kubeconfig, upstream: up}
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
	want  harness.Message
}

// vectors are the questions that the plugin answers, and those that it passes on.
func vectors() (answered, passed []vector) {
	soa := "minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	overlaySOA := "a.ex.org. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	answered = []vector{
		// D22: the case of the question; E3: the terminating pod is not answered beside a ready one.
		{"WeB.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"WeB.shop.minilb. 5 IN A 10.244.1.7"}}},
		{"web.shop.minilb.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"web.shop.minilb.", dns.TypeTXT, harness.Message{Flags: "aa", Authority: []string{soa}}},   // D19
		{"web.shop.minilb.", dns.TypeHTTPS, harness.Message{Flags: "aa", Authority: []string{soa}}}, // D19, D50
		{"empty.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Authority: []string{soa}}},   // D18
		{"db.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"nope.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"x.y.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"x.web.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"a.b.web.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},                                  // D16
		{"shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Authority: []string{soa}}},                                                                     // D12
		{"minilb.", dns.TypeSOA, harness.Message{Flags: "aa", Answer: []string{soa}}},                                                                           // D24
		{"minilb.", dns.TypeNS, harness.Message{Flags: "aa", Answer: []string{"minilb. 5 IN NS ns1.minilb."}, Extra: []string{"ns1.minilb. 5 IN A 127.0.0.1"}}}, // D26
		{"minilb.", dns.TypeA, harness.Message{Flags: "aa", Authority: []string{soa}}},                                                                          // D27
		{"MINILB.", dns.TypeTXT, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"ns1.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"ns1.minilb. 5 IN A 127.0.0.1"}}},
		{"ns1.minilb.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{soa}}},
		// D40-D42: the port of the pods, by their names.
		{"_https._tcp.web.shop.minilb.", dns.TypeSRV, harness.Message{
			Flags: "aa", Answer: []string{"_https._tcp.web.shop.minilb. 5 IN SRV 0 100 8443 10-244-1-7.web.shop.minilb."}, Extra: []string{"10-244-1-7.web.shop.minilb. 5 IN A 10.244.1.7"},
		}},
		{"_HTTPS._tcp.web.shop.MiniLB.", dns.TypeSRV, harness.Message{
			Flags: "aa", Answer: []string{"_HTTPS._tcp.web.shop.MiniLB. 5 IN SRV 0 100 8443 10-244-1-7.web.shop.MiniLB."}, Extra: []string{"10-244-1-7.web.shop.MiniLB. 5 IN A 10.244.1.7"},
		}},
		{"10-244-1-7.web.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"10-244-1-7.web.shop.minilb. 5 IN A 10.244.1.7"}}},
		{"10-244-1-7.web.shop.minilb.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"_tcp.web.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"_https._tcp.web.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"web.shop.minilb.", dns.TypeSRV, harness.Message{Flags: "aa", Authority: []string{soa}}},
		{"10-244-1-8.web.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}}, // it terminates
		{"_https._udp.web.shop.minilb.", dns.TypeSRV, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"_http._tcp.web.shop.minilb.", dns.TypeSRV, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"a.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"a.ex.org. 5 IN A 10.244.1.7"}}},         // M3, C2
		{"A.Ex.oRg.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"A.Ex.oRg. 5 IN A 10.244.1.7"}}},         // D22
		{"a.ex.org.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{overlaySOA}}},                      // D5
		{"a.ex.org.", dns.TypeHTTPS, harness.Message{Flags: "aa", Authority: []string{overlaySOA}}},                     // D6
		{"q.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"q.w.ex.org. 5 IN A 10.244.1.7"}}},     // D10
		{"p.q.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"p.q.w.ex.org. 5 IN A 10.244.1.7"}}}, // I4
		{"*.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"*.w.ex.org. 5 IN A 10.244.1.7"}}},     // D13
		// D30: the alias and what upstream says of it, in one message.
		{"x.g.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", "x.g.ex.org. 5 IN CNAME lb.aws.com."}}},
		{"X.g.Ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"X.g.Ex.org. 5 IN CNAME lb.aws.com.", "lb.aws.com. 60 IN A 198.51.100.1"}}},
		{"x.g.ex.org.", dns.TypeAAAA, harness.Message{Flags: "aa", Answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}, Authority: []string{harness.Serial.ReplaceAllString(awsSOA, "$1 SERIAL ")}}}, // D31
		{"x.g.ex.org.", dns.TypeCNAME, harness.Message{Flags: "aa", Answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}}},
		{"web.shop.minilb.", dns.TypeANY, harness.Message{Flags: "aa", Answer: []string{`web.shop.minilb. 5 IN HINFO "RFC8482" ""`}}}, // D28
		{"nope.shop.minilb.", dns.TypeANY, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},         // D28
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
		passed = append(passed, vector{v.name, v.qtype, harness.Message{Flags: "ra", Answer: []string{v.name + ` 60 IN TXT "upstream"`}}})
	}
	return answered, passed
}

func testMessages(t *testing.T, s *vectorServer) {
	answered, passed := vectors()
	for _, v := range slices.Concat(answered, passed) {
		for _, network := range []string{"udp", "tcp"} {
			reply, err := s.Ask(network, v.name, v.qtype)
			if err != nil {
				t.Errorf("%s: %v", network, err)
				continue
			}
			if got, want := harness.MessageOf(reply).String(), v.want.String(); got != want {
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
		if err := s.ExpectRcode("minilb.", qtype, dns.RcodeRefused); err != nil { // though forward stands behind
			t.Error(err)
		}
	}
	alone := harness.StartCoreDNS(t, `minilb:PORT example.org:PORT {
		bind 127.0.0.1
		minilb minilb {
			kubeconfig `+s.kubeconfig+`
		}
	}`)
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		if err := alone.ExpectRcode("minilb.", qtype, dns.RcodeRefused); err != nil {
			t.Error(err)
		}
	}
	// D4: outside the zones, with nothing behind.
	if err := alone.ExpectRcode("www.example.org.", dns.TypeA, dns.RcodeRefused); err != nil {
		t.Error(err)
	}
}

// testFallback takes the readiness of the only pod that does not terminate (E3).
func testFallback(t *testing.T, s *vectorServer) {
	harness.Must(t, s.cluster.SetReady(t.Context(), "shop", "web-7", false))
	for _, name := range []string{"web.shop.minilb", "a.ex.org", "x.w.ex.org"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, "10.244.1.8") })
	}
	t.Run("dig", func(t *testing.T) { testFallbackDig(t, s) })
	harness.Must(t, s.cluster.SetReady(t.Context(), "shop", "web-7", true))
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
}
