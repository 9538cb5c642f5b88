package dns_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
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

// vectorAlias is a host of the zone that has the name of somebody else's load balancer.
const vectorAlias = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: alias, namespace: shop}
spec: {rules: [{host: home.minilb, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: lb.aws.com}]}}
`

// awsSOA is what upstream says of the zone that the aliases lead to.
const awsSOA = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. 1 2 3 4 60"

// zoneSOA is what negative answers in the zone have.
const zoneSOA = "minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"

// vectorServer is the conformance vectors' cluster, and the server that answers for it.
type vectorServer struct {
	*harness.CoreDNS
	cluster    *cluster.Cluster
	kubeconfig string
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
	harness.Must(t, harness.Apply(c, vectorAlias))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-7", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-8", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.8"}}))
	harness.Must(t, c.Terminate(ctx, "shop", "web-8"))
	nextSecond() // the other claim is to be the younger
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
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("coredns said:\n%s", s.Log)
		}
	})
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("a.ex.org", dns.TypeA, "10.244.1.7") })
	return &vectorServer{CoreDNS: s, cluster: c, kubeconfig: kubeconfig}
}

// nextSecond waits for the clock's next second: creationTimestamp, which decides between claims, has
// no fractions.
func nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 50*time.Millisecond)))
}

// TestVectors asks the questions of the conformance vectors and compares whole messages.
func TestVectors(t *testing.T) {
	t.Parallel()
	s := startVectors(t)
	zone, hosts, passed := vectors()
	t.Run("messages", func(t *testing.T) { testMessages(t, s.CoreDNS, slices.Concat(zone, hosts, passed)) })
	t.Run("options", func(t *testing.T) { testOptions(t, s.CoreDNS) })
	t.Run("zone alone", func(t *testing.T) { testZoneAlone(t, s, zone) })
	t.Run("fallback to terminating", func(t *testing.T) { testFallback(t, s) })
}

// vector is a question and what it is answered with.
type vector struct {
	name  string
	qtype uint16
	want  harness.Message
}

// vectors are the questions for names of the zone, those for claimed hosts and aliases, which take
// an upstream, and those that the plugin passes on.
func vectors() (zone, hosts, passed []vector) {
	const soa = zoneSOA
	overlaySOA := "a.ex.org. 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"
	alias := []string{"lb.aws.com. 60 IN A 198.51.100.1"}
	toAWS := []string{harness.Serial.ReplaceAllString(awsSOA, "$1 SERIAL ")}
	zone = []vector{
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
		{"web.shop.minilb.", 65280, harness.Message{Flags: "aa", Authority: []string{soa}}},                                       // D19
		{"_udp.web.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},   // D42
		{"_tcp.empty.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}}, // its port has no name
		{"_https._tcp.empty.shop.minilb.", dns.TypeSRV, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"*.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},
		{"NS1.MINILB.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"NS1.MINILB. 5 IN A 127.0.0.1"}}},                    // D22
		{"web.shop.minilb.", dns.TypeANY, harness.Message{Flags: "aa", Answer: []string{`web.shop.minilb. 5 IN HINFO "RFC8482" ""`}}}, // D28
		{"nope.shop.minilb.", dns.TypeANY, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{soa}}},         // D28
	}
	hosts = []vector{
		{"a.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"a.ex.org. 5 IN A 10.244.1.7"}}},         // M3, C2
		{"A.Ex.oRg.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"A.Ex.oRg. 5 IN A 10.244.1.7"}}},         // D22
		{"a.ex.org.", dns.TypeAAAA, harness.Message{Flags: "aa", Authority: []string{overlaySOA}}},                      // D5
		{"a.ex.org.", dns.TypeHTTPS, harness.Message{Flags: "aa", Authority: []string{overlaySOA}}},                     // D6
		{"q.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"q.w.ex.org. 5 IN A 10.244.1.7"}}},     // D10
		{"p.q.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"p.q.w.ex.org. 5 IN A 10.244.1.7"}}}, // I4
		{"*.w.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"*.w.ex.org. 5 IN A 10.244.1.7"}}},     // D13
		// D30, D31: the alias and what upstream says of it, in one message.
		{"x.g.ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: append(alias, "x.g.ex.org. 5 IN CNAME lb.aws.com.")}},
		{"X.g.Ex.org.", dns.TypeA, harness.Message{Flags: "aa", Answer: append([]string{"X.g.Ex.org. 5 IN CNAME lb.aws.com."}, alias...)}},
		{"x.g.ex.org.", dns.TypeAAAA, harness.Message{Flags: "aa", Answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}, Authority: toAWS}},
		{"x.g.ex.org.", dns.TypeHTTPS, harness.Message{Flags: "aa", Answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}, Authority: toAWS}},
		{"x.g.ex.org.", dns.TypeCNAME, harness.Message{Flags: "aa", Answer: []string{"x.g.ex.org. 5 IN CNAME lb.aws.com."}}},
		{"x.g.ex.org.", dns.TypeANY, harness.Message{Flags: "aa", Answer: []string{`x.g.ex.org. 5 IN HINFO "RFC8482" ""`}}}, // D28
		{"home.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: append([]string{"home.minilb. 5 IN CNAME lb.aws.com."}, alias...)}},
		{"home.minilb.", dns.TypeAAAA, harness.Message{Flags: "aa", Answer: []string{"home.minilb. 5 IN CNAME lb.aws.com."}, Authority: toAWS}},
	}
	// D3, D6: what is not ours is forwarded, its answer untouched.
	for _, v := range []struct {
		name  string
		qtype uint16
	}{
		{"a.ex.org.", dns.TypeMX}, {"x.g.ex.org.", dns.TypeMX}, {"g.ex.org.", dns.TypeA}, {"y.g.ex.org.", dns.TypeA}, {"z.x.g.ex.org.", dns.TypeA}, {"a.ex.org.", dns.TypeNS}, {"a.ex.org.", dns.TypeSOA}, {"a.ex.org.", dns.TypeDS},
		{"a.ex.org.", dns.TypeTXT}, {"a.ex.org.", dns.TypeCAA}, {"a.ex.org.", dns.TypeCNAME}, {"a.ex.org.", dns.TypeSRV}, {"a.ex.org.", dns.TypeDNSKEY},
		{"_https._tcp.a.ex.org.", dns.TypeSRV}, {"_https._tcp.w.ex.org.", dns.TypeSRV}, {"_acme-challenge.w.ex.org.", dns.TypeTXT}, // below a host, and below a wildcard
		{"b.ex.org.", dns.TypeA}, {"z.a.ex.org.", dns.TypeA}, {"w.ex.org.", dns.TypeA}, {"ex.org.", dns.TypeA}, {"org.", dns.TypeA},
		{"minilb.example.", dns.TypeA}, {"xminilb.", dns.TypeA},
	} {
		passed = append(passed, vector{v.name, v.qtype, harness.Message{Flags: "ra", Answer: []string{v.name + ` 60 IN TXT "upstream"`}}})
	}
	return zone, hosts, passed
}

// testMessages asks a server for each vector over UDP and TCP.
func testMessages(t *testing.T, s *harness.CoreDNS, list []vector) {
	t.Helper()
	for _, v := range list {
		for _, network := range []string{"udp", "tcp"} {
			reply, err := s.Ask(network, v.name, v.qtype)
			if err != nil {
				t.Errorf("%s: %v", network, err)
				continue
			}
			if got, want := harness.MessageOf(reply).String(), v.want.String(); got != want {
				t.Errorf("%s %s %s:\ngot  %s\nwant %s", network, v.name, dns.Type(v.qtype), got, want)
			}
			if q := reply.Question; len(q) != 1 || q[0].Name != v.name || q[0].Qtype != v.qtype {
				t.Errorf("%s %s: the question came back as %v", network, v.name, q)
			}
		}
	}
}

// testOptions asks for one address with the flags and EDNS options that a question may have (D32).
func testOptions(t *testing.T, s *harness.CoreDNS) {
	size := func(bytes uint16) func(*dns.Msg) { return func(q *dns.Msg) { q.SetEdns0(bytes, false) } }
	for _, tt := range []struct {
		what  string
		with  func(q *dns.Msg)
		wrong func(reply *dns.Msg, opt *dns.OPT) bool // beside what is true of each reply
	}{
		{"no EDNS", func(*dns.Msg) {}, nil},
		{"EDNS 512", size(512), func(_ *dns.Msg, opt *dns.OPT) bool { return opt.UDPSize() != 512 }},
		{"EDNS 1232", size(1232), func(_ *dns.Msg, opt *dns.OPT) bool { return opt.UDPSize() != 1232 }},
		{"EDNS 4096", size(4096), func(_ *dns.Msg, opt *dns.OPT) bool { return opt.UDPSize() != 4096 }},
		{"DO", func(q *dns.Msg) { q.SetEdns0(1232, true) }, func(_ *dns.Msg, opt *dns.OPT) bool { return !opt.Do() }},
		{"a cookie, NSID, a subnet and an option of nobody's", func(q *dns.Msg) {
			q.SetEdns0(1232, false).IsEdns0().Option = []dns.EDNS0{
				&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}, &dns.EDNS0_NSID{Code: dns.EDNS0NSID},
				&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("minilb")},
			}
		}, nil},
		{"no RD", func(q *dns.Msg) { q.RecursionDesired = false }, func(reply *dns.Msg, _ *dns.OPT) bool { return reply.RecursionDesired }},
		{"CD", func(q *dns.Msg) { q.CheckingDisabled = true }, func(reply *dns.Msg, _ *dns.OPT) bool { return !reply.CheckingDisabled }},
		{"AD", func(q *dns.Msg) { q.AuthenticatedData = true }, nil},
		{"Z", func(q *dns.Msg) { q.Zero = true }, nil},
	} {
		q := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA)
		tt.with(q)
		reply, err := dns.Exchange(q, s.Addr)
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		want := harness.Message{Flags: "aa", Answer: []string{"web.shop.minilb. 5 IN A 10.244.1.7"}}
		opt := reply.IsEdns0()
		if got := harness.MessageOf(withoutOPT(reply)).String(); got != want.String() || reply.Zero || tt.wrong != nil && tt.wrong(reply, opt) {
			t.Errorf("%s: got\n%s", tt.what, reply)
		}
		if (opt != nil) != (q.IsEdns0() != nil) || opt != nil && (opt.Version() != 0 || len(opt.Option) > 0) {
			t.Errorf("%s: got EDNS %v", tt.what, opt)
		}
	}
}

// withoutOPT takes the OPT record off a message.
func withoutOPT(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	return m
}

// testZoneAlone asks a server that has nothing but the plugin. In its zone it is to answer what one
// does that has more (D9).
func testZoneAlone(t *testing.T, s *vectorServer, zone []vector) {
	alone := harness.StartCoreDNS(t, `minilb:PORT example.org:PORT {
		bind 127.0.0.1
		READY
		minilb minilb {
			kubeconfig `+s.kubeconfig+`
		}
	}`)
	alone.WaitReady(t)
	testMessages(t, alone, zone)
	// D29: a transfer that nothing allows, whether or not forward stands behind.
	for what, server := range map[string]*harness.CoreDNS{"a LAN's resolver": s.CoreDNS, "the zone alone": alone} {
		for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			if err := server.ExpectRcode("minilb.", qtype, dns.RcodeRefused); err != nil {
				t.Errorf("%s: %v", what, err)
			}
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
	testMessages(t, s.CoreDNS, []vector{
		{"_https._tcp.web.shop.minilb.", dns.TypeSRV, harness.Message{
			Flags: "aa", Answer: []string{"_https._tcp.web.shop.minilb. 5 IN SRV 0 100 8443 10-244-1-8.web.shop.minilb."}, Extra: []string{"10-244-1-8.web.shop.minilb. 5 IN A 10.244.1.8"},
		}},
		{"10-244-1-8.web.shop.minilb.", dns.TypeA, harness.Message{Flags: "aa", Answer: []string{"10-244-1-8.web.shop.minilb. 5 IN A 10.244.1.8"}}},
		{"10-244-1-7.web.shop.minilb.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Flags: "aa", Authority: []string{zoneSOA}}},
	})
}
