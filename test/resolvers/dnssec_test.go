package resolvers_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// signedState is a Service of both families with a named port and hosts inside and outside the
// zone, one of one family, one without endpoints, and a host of the zone that is an alias.
const signedState = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: "*.w.NS.minilb, web.signed.example"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: six, namespace: NS}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: NS}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: many, namespace: NS}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-ipv4, namespace: NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.7.0.1]}, {addresses: [10.7.0.2]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: alias, namespace: NS}
spec: {rules: [{host: alias.NS.minilb, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: lb.signed.example}]}}
---
`

// signedQuestions are of every kind of answer that the zone has, with the data wanted; none
// stands for a negative answer.
var signedQuestions = []struct {
	name, qtype string
	want        []string
}{
	{"web.NS.minilb.", "A", []string{"10.7.0.1", "10.7.0.2"}},
	{"WeB.NS.MiniLB.", "A", []string{"10.7.0.1", "10.7.0.2"}}, // D22
	{"web.NS.minilb.", "AAAA", []string{"fd07::1"}},
	{"six.NS.minilb.", "AAAA", []string{"fd07::6"}},
	{"_http._tcp.web.NS.minilb.", "SRV", []string{"0 100 8080 10-7-0-1.web.NS.minilb.", "0 100 8080 10-7-0-2.web.NS.minilb."}}, // D41
	{"10-7-0-1.web.NS.minilb.", "A", []string{"10.7.0.1"}},                                                                     // D40
	{"x.w.NS.minilb.", "A", []string{"10.7.0.1", "10.7.0.2"}},                                                                  // D10
	{"x.y.w.NS.minilb.", "AAAA", []string{"fd07::1"}},
	{"*.w.NS.minilb.", "A", []string{"10.7.0.1", "10.7.0.2"}}, // D13
	{"minilb.", "NS", []string{"ns1.minilb."}},                // D26
	{"ns1.minilb.", "A", []string{"127.0.0.1"}},
	{"web.NS.minilb.", "HTTPS", nil}, // D50
	{"web.NS.minilb.", "TXT", nil},   // D19
	{"web.NS.minilb.", "DS", nil},
	{"six.NS.minilb.", "A", nil}, // E14
	{"x.w.NS.minilb.", "TXT", nil},
	{"empty.NS.minilb.", "A", nil}, // D18
	{"empty.NS.minilb.", "AAAA", nil},
	{"NS.minilb.", "A", nil}, // D12
	{"_tcp.web.NS.minilb.", "SRV", nil},
	{"nope.NS.minilb.", "A", nil}, // dnssec makes NODATA of every NXDOMAIN
	{"nope.minilb.", "AAAA", nil},
	{"minilb.", "A", nil}, // D27
	{"minilb.", "TXT", nil},
}

// TestDNSSEC signs the zone with the plugin dnssec, and lets programs that are not ours validate
// what comes out.
func TestDNSSEC(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ns := harness.NewNamespace(t, c)
	inNamespace := strings.NewReplacer("NS", ns).Replace
	var twenty []string
	for i := range 20 {
		twenty = append(twenty, fmt.Sprintf("10.7.1.%d", i+1))
	}
	harness.Must(t, harness.Apply(c, inNamespace(signedState+harness.StaticSlice("NS", "web", "IPv6", "fd07::1")+harness.StaticSlice("NS", "six", "IPv6", "fd07::6")+harness.StaticSlice("NS", "many", "IPv4", twenty...))))

	key := harness.NewZoneKey(t, "minilb")
	up := harness.StartUpstream(t, "lb.signed.example. 60 IN A 198.51.100.1")
	signer := `.:PORT {
		bind 127.0.0.1
		READY
		PROM
		errors
		dnssec minilb {
			key file ` + key.Base + `
		}
		minilb minilb {
			kubeconfig KUBECONFIG
			namespaces ` + ns + `
			startup_timeout 100ms
		}
		forward . ` + up + `
	}`
	s := harness.StartCoreDNS(t, strings.ReplaceAll(signer, "KUBECONFIG", kubeconfig))
	s.WaitReady(t)

	t.Run("delv", func(t *testing.T) {
		for _, network := range []string{"+notcp", "+tcp"} {
			for i, q := range signedQuestions {
				if network == "+tcp" && i%6 != 0 { // a signature does not depend on the transport
					continue
				}
				v, err := delv(t, s.Addr, key, inNamespace(q.name), q.qtype, network)
				if err != nil {
					t.Error(err)
					continue
				}
				want := "fully validated"
				if q.want == nil {
					want = "negative response, fully validated"
				}
				data := strings.Split(inNamespace(strings.Join(q.want, "\n")), "\n")
				if q.want == nil {
					data = nil
				}
				if v.trust != want || !slices.Equal(v.data, data) {
					t.Errorf("delv %s of %s %s: got %q, %q; want %q, %q\n%s", network, q.name, q.qtype, v.trust, v.data, want, data, v.output)
				}
			}
			for _, qtype := range []string{"SOA", "DNSKEY", "ANY"} { // the data of these are not for sure
				name := "minilb."
				if qtype == "ANY" {
					name = inNamespace("web.NS.minilb.") // D28
				}
				v, err := delv(t, s.Addr, key, name, qtype, network)
				if err != nil || v.trust != "fully validated" || len(v.data) != 1 {
					t.Errorf("delv %s of %s %s: got %q, %q, %v; want one record, fully validated\n%s", network, name, qtype, v.trust, v.data, err, v.output)
				}
			}
		}
		// The alias is the zone's, where it leads to is not (D30).
		v, err := delv(t, s.Addr, key, inNamespace("alias.NS.minilb."), "CNAME", "+notcp")
		if err != nil || v.trust != "fully validated" || !slices.Equal(v.data, []string{"lb.signed.example."}) {
			t.Errorf("delv of the alias: got %q, %q, %v; want it fully validated\n%s", v.trust, v.data, err, v.output)
		}
	})

	t.Run("unbound", func(t *testing.T) {
		resolver := startValidator(t, key, s.Addr)
		for _, q := range signedQuestions {
			reply, err := askSigned(resolver, inNamespace(q.name), dns.StringToType[q.qtype])
			if err != nil {
				t.Error(err)
				continue
			}
			var got []string
			for _, rr := range reply.Answer {
				if rr.Header().Rrtype == dns.StringToType[q.qtype] {
					got = append(got, strings.ToLower(strings.TrimPrefix(rr.String(), rr.Header().String()))) // SRV targets have the case that it asked in
				}
			}
			slices.Sort(got)
			want := strings.Fields(inNamespace(strings.Join(q.want, "\n")))
			if reply.Rcode != dns.RcodeSuccess || !reply.AuthenticatedData || !slices.Equal(strings.Fields(strings.Join(got, "\n")), want) {
				t.Errorf("unbound was asked %s %s: got %s, AD %v, %q; want NOERROR, AD, %q", q.name, q.qtype, dns.RcodeToString[reply.Rcode], reply.AuthenticatedData, got, want)
			}
		}
		// D7: a host outside the zone is passed unsigned.
		reply, err := askSigned(resolver, "web.signed.example.", dns.TypeA)
		harness.Must(t, err)
		if reply.Rcode != dns.RcodeSuccess || reply.AuthenticatedData || len(reply.Answer) != 2 {
			t.Errorf("unbound was asked web.signed.example. A: want two unsigned addresses, got\n%s", reply)
		}
	})

	// What proves that these do validate: another key, and an address that was changed on its way.
	forger := harness.StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		client := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
		reply, _, err := client.Exchange(r, s.Addr)
		if err != nil {
			return
		}
		for _, rr := range reply.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				rr.A = net.IPv4(6, 6, 6, 6)
			case *dns.AAAA:
				rr.AAAA = net.ParseIP("bad::6")
			}
		}
		w.WriteMsg(reply)
	}))
	for name, resolver := range map[string]string{"foreign key": startValidator(t, harness.NewZoneKey(t, "minilb"), s.Addr), "forged": startValidator(t, key, forger)} {
		t.Run(name, func(t *testing.T) {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
				reply, err := askSigned(resolver, inNamespace("web.NS.minilb."), qtype)
				harness.Must(t, err)
				invalid := slices.ContainsFunc(extendedErrors(reply), func(code uint16) bool {
					return dns.ExtendedErrorCodeDNSBogus <= code && code <= dns.ExtendedErrorCodeNSECMissing
				})
				if reply.Rcode != dns.RcodeServerFailure || len(reply.Answer) > 0 || !invalid {
					t.Errorf("unbound was asked web %s: want SERVFAIL because it is not valid, got\n%s", dns.TypeToString[qtype], reply)
				}
			}
		})
	}

	t.Run("subsets", func(t *testing.T) { // D23: another subset in another order has another signature
		seen := map[string]bool{}
		for i := range 20 { // (5/21)^20 is how often one of the addresses is in none of them
			if i%5 == 0 { // while endpoints come and go
				harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(harness.StaticSlice("NS", "many", "IPv4", append(twenty, fmt.Sprintf("10.7.2.%d", i+1))...), "NS", ns)))
			}
			v, err := delv(t, s.Addr, key, inNamespace("many.NS.minilb."), "A", "+notcp")
			harness.Must(t, err)
			if v.trust != "fully validated" || len(v.data) != 16 {
				t.Fatalf("delv of many, time %d: got %q, %d addresses; want 16, fully validated\n%s", i, v.trust, len(v.data), v.output)
			}
			for _, addr := range v.data {
				seen[addr] = true
			}
		}
		for _, addr := range twenty {
			if !seen[addr] {
				t.Errorf("20 answers had no %s", addr)
			}
		}
	})

	t.Run("DS of the zone", func(t *testing.T) {
		// A validator asks the parent for it, so that none is asked here.
		reply, err := askSigned(s.Addr, "minilb.", dns.TypeDS)
		harness.Must(t, err)
		types := map[uint16]int{}
		for _, rr := range reply.Ns {
			types[rr.Header().Rrtype]++
		}
		if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) > 0 || types[dns.TypeSOA] != 1 || types[dns.TypeNSEC] != 1 || types[dns.TypeRRSIG] != 2 {
			t.Errorf("minilb. DS: want NODATA, signed, got\n%s", reply)
		}
	})

	t.Run("not the zone's", func(t *testing.T) {
		for _, name := range []string{"web.signed.example.", "www.signed.example."} { // a host, and what is forwarded
			reply, err := askSigned(s.Addr, name, dns.TypeA)
			harness.Must(t, err)
			for _, rr := range slices.Concat(reply.Answer, reply.Ns, reply.Extra) {
				if t := rr.Header().Rrtype; t == dns.TypeRRSIG || t == dns.TypeNSEC {
					err = fmt.Errorf("it has %s", rr)
				}
			}
			if err != nil || len(reply.Answer) == 0 {
				t.Errorf("%s A: want an answer without signatures, got %v\n%s", name, err, reply)
			}
		}
		// Who asks for no signatures gets none, and the NXDOMAIN that there is.
		harness.Must(t, s.ExpectRcode(inNamespace("nope.NS.minilb."), dns.TypeA, dns.RcodeNameError))
		harness.Must(t, s.Expect(inNamespace("web.NS.minilb."), dns.TypeA, "10.7.0.1", "10.7.0.2"))
	})

	t.Run("before the cluster is known", func(t *testing.T) { // D72, D75
		nowhere, err := c.TokenKubeconfig("nobody")
		harness.Must(t, err)
		unsynced := harness.StartCoreDNS(t, strings.ReplaceAll(signer, "KUBECONFIG", nowhere))
		reply, err := askSigned(unsynced.Addr, inNamespace("web.NS.minilb."), dns.TypeA)
		harness.Must(t, err)
		if reply.Rcode != dns.RcodeServerFailure || len(reply.Answer)+len(reply.Ns) > 0 || !slices.Equal(extendedErrors(reply), []uint16{dns.ExtendedErrorCodeNotReady}) {
			t.Errorf("want SERVFAIL with EDE 14 and nothing else, got\n%s", reply)
		}
		// Who asks without EDNS gets none (RFC 6891 §7).
		reply, err = unsynced.Ask("udp", inNamespace("web.NS.minilb."), dns.TypeA)
		harness.Must(t, err)
		if reply.Rcode != dns.RcodeServerFailure || len(reply.Answer)+len(reply.Ns)+len(reply.Extra) > 0 {
			t.Errorf("without EDNS: want SERVFAIL and nothing else, got\n%s", reply)
		}
	})
}
