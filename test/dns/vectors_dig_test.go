package dns_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// digState is what some of dig's questions need beside the vectors' state: Services that say how
// they speak HTTPS, one of them with pods of both families, and one that does not speak it.
const digState = `
apiVersion: v1
kind: Service
metadata: {name: dual, namespace: shop, annotations: {minilb/host: dual.ex.org, minilb/alpn: "h2, http/1.1"}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ipFamilyPolicy: RequireDualStack
  selector: {app: dual}
  ports: [{name: https, port: 443, targetPort: 443}, {name: mqtt, port: 1883, targetPort: 1884}]
---
apiVersion: v1
kind: Service
metadata: {name: alpn, namespace: shop, annotations: {minilb/alpn: h2}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: dual}
  ports: [{name: http, port: 80, targetPort: 8080}]
`

// The servers and their states, as the transcripts name them.
const (
	lanResolver = "The conformance vectors' state, at a LAN's resolver:\n. { minilb minilb; cache; forward . up }\n"
	zoneAlone   = "The conformance vectors' state, at a server for the zone alone, and some other for which nothing is there:\nminilb example.org { minilb minilb }\n"
	notSynced   = "An API server that cannot be reached, and never could:\n. { minilb minilb { fallthrough }; cache; forward . up }\n"
	fullServer  = "The conformance vectors' state, Services dual and alpn with minilb/alpn, and plain with port 80:\n. { minilb minilb 10.244.0.0/16 fd00:10:244::/48 { https }; cache; forward . up }\n"
)

// testDig compares what dig prints of the vectors, of other types, and of what the options of
// a query change.
func testDig(t *testing.T, s *vectorServer) {
	answered, passed := vectors()
	var zone, hosts []vector
	for _, v := range answered {
		if dns.IsSubDomain("minilb.", strings.ToLower(v.name)) {
			zone = append(zone, v)
		} else {
			hosts = append(hosts, v)
		}
	}
	names := transcript{"zone", lanResolver + "Names in the zone.", questions(zone,
		"minilb ANY", "minilb AAAA", "minilb MX", "minilb HTTPS", "minilb DNSKEY", "minilb CNAME", "minilb DS",
		"web.shop.minilb NS", "web.shop.minilb SOA", "web.shop.minilb MX", "web.shop.minilb CAA", "web.shop.minilb SVCB", "web.shop.minilb CNAME",
		"web.shop.minilb DS", "web.shop.minilb PTR", "web.shop.minilb TYPE65280", "web.shop.minilb ANY +notcp", "WEB.SHOP.MINILB ANY", "shop.minilb ANY",
		"WEB.SHOP.MINILB A", "WEB.SHOP.MINILB AAAA", "empty.shop.minilb AAAA", "empty.shop.minilb HTTPS", "empty.shop.minilb ANY",
		"_https._tcp.WEB.SHOP.MINILB SRV", "_https._tcp.empty.shop.minilb SRV", "_udp.web.shop.minilb A", "_tcp.empty.shop.minilb A",
		"NS1.MINILB A", "MINILB NS", "MINILB SOA", "nope.minilb A", "NOPE.minilb A", "*.shop.minilb A",
	)}
	names.check(t, s.Addr)
	transcript{"hosts", lanResolver + "Claimed hosts outside of the zone.", questions(hosts,
		"a.ex.org ANY", "a.ex.org SVCB", "q.w.ex.org AAAA", "Q.W.Ex.Org AAAA", "x.g.ex.org HTTPS", "x.g.ex.org ANY",
	)}.check(t, s.Addr)
	transcript{"forwarded", lanResolver + "What the upstream resolver answers: a TXT record \"upstream\", whatever it is asked for.", questions(passed,
		"a.ex.org TXT", "a.ex.org CAA", "a.ex.org CNAME", "a.ex.org SRV", "a.ex.org DNSKEY", "_https._tcp.a.ex.org SRV",
	)}.check(t, s.Addr)
	transcript{"options", lanResolver + "What the options of a query change.", []string{
		"web.shop.minilb A +norec", "web.shop.minilb A +tcp", "web.shop.minilb A +noedns", "web.shop.minilb A +noedns +tcp",
		"web.shop.minilb A +bufsize=512", "web.shop.minilb A +bufsize=4096", "web.shop.minilb A +dnssec", "web.shop.minilb A +nocookie",
		"web.shop.minilb A +noadflag", "web.shop.minilb A +cdflag", "web.shop.minilb A +zflag", "web.shop.minilb A +ednsflags=0x40",
		"web.shop.minilb A +edns=1 +noednsnegotiation", "web.shop.minilb A +ednsopt=65001:6d696e696c62", "web.shop.minilb A +subnet=192.0.2.0/24", "web.shop.minilb A +nsid",
		"web.shop.minilb A +opcode=status", "web.shop.minilb A +opcode=update",
		"web.shop.minilb AAAA +norec +noedns", "web.shop.minilb AAAA +dnssec", "web.shop.minilb AAAA +tcp +nocookie", "web.shop.minilb ANY +notcp +noedns",
		"nope.shop.minilb A +noedns +norec", "nope.shop.minilb A +dnssec", "minilb SOA +dnssec +norec", "minilb NS +noedns",
		"a.ex.org A +norec +noedns", "a.ex.org AAAA +dnssec", "x.g.ex.org A +norec +nocookie", "x.g.ex.org A +dnssec", "x.g.ex.org A +noedns +tcp",
		"_https._tcp.web.shop.minilb SRV +noedns", "_https._tcp.web.shop.minilb SRV +tcp", "_https._tcp.web.shop.minilb SRV +bufsize=512 +norec",
	}}.check(t, s.Addr)

	t.Run("zone alone", func(t *testing.T) { testDigZoneAlone(t, s, names) })
	t.Run("not synced", func(t *testing.T) { testDigNotSynced(t, s) })
	t.Run("https and reverse", func(t *testing.T) { testDigFull(t, s) })
}

// questions returns dig's arguments for the vectors, and more.
func questions(vectors []vector, more ...string) []string {
	var all []string
	for _, v := range vectors {
		all = append(all, strings.TrimSuffix(v.name, ".")+" "+dns.TypeToString[v.qtype])
	}
	return append(all, more...)
}

// testDigZoneAlone asks a server that has nothing but the plugin. In its zone it is to answer
// what one does that has more (D9).
func testDigZoneAlone(t *testing.T, s *vectorServer, names transcript) {
	alone := harness.StartCoreDNS(t, `minilb:PORT example.org:PORT {
		bind 127.0.0.1
		READY
		minilb minilb {
			kubeconfig `+s.kubeconfig+`
		}
	}`)
	alone.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return alone.Expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
	if !*update {
		names.check(t, alone.Addr)
	}
	transcript{"alone", zoneAlone + "In the zone it answers as the resolver does. This is the rest (D4, D29). Over TCP, dig does not print the status of a transfer that is refused.", []string{
		"minilb AXFR", "minilb IXFR=1", "minilb IXFR=1 +notcp +comments", "minilb A -c CH", "www.example.org A", "a.ex.org A", "xminilb A", ". NS",
	}}.check(t, alone.Addr)
}

// testDigNotSynced asks a server that knows nothing yet (D72 to D75).
func testDigNotSynced(t *testing.T, s *vectorServer) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	harness.Must(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, "{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: \"https://%s\"}}], contexts: [{name: c, context: {cluster: c}}]}", harness.FreePorts(t, 1)[0]), 0o600))
	unsynced := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, s.upstream, "startup_timeout 100ms", "fallthrough"))
	transcript{"unsynced", notSynced, []string{
		"web.shop.minilb A", "web.shop.minilb A +noedns", "web.shop.minilb A +norec +dnssec", "web.shop.minilb A +tcp", "minilb SOA", "nope.minilb AAAA", "a.ex.org A",
	}}.check(t, unsynced.Addr)
}

// testDigFull asks for what is there on request alone, and for addresses of both families.
func testDigFull(t *testing.T, s *vectorServer) {
	ctx, c := t.Context(), s.cluster
	harness.Must(t, c.Apply(ctx, digState))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "dual-1", Labels: map[string]string{"app": "dual"}, Node: "n1", IPs: []string{"10.244.2.1", "fd00:10:244:2::1"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "dual-2", Labels: map[string]string{"app": "dual"}, Node: "n1", IPs: []string{"10.244.2.2", "fd00:10:244:2::"}}))
	full := harness.StartCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		READY
		errors
		minilb minilb 10.244.0.0/16 fd00:10:244::/48 {
			kubeconfig `+s.kubeconfig+`
			https
		}
		cache {
			keepttl
		}
		forward . `+s.upstream+`
	}`)
	full.WaitReady(t)
	for addr, services := range map[string][]string{
		"10.244.1.7": {"alpn", "web"}, "10.244.2.1": {"dual", "plain"}, "10.244.2.2": {"dual", "plain"}, "fd00:10:244:2::1": {"dual"}, "fd00:10:244:2::": {"dual"},
	} {
		name, err := dns.ReverseAddr(addr)
		harness.Must(t, err)
		label := strings.NewReplacer(".", "-", ":", "-").Replace(addr)
		if strings.HasSuffix(label, "-") { // D40
			label += "0"
		}
		var want []string
		for _, service := range services {
			want = append(want, label+"."+service+".shop.minilb.")
		}
		cluster.Eventually(t, 10*time.Second, func() error { return full.Expect(name, dns.TypePTR, want...) })
	}

	transcript{"https", fullServer + "HTTPS (D50, D51).", []string{
		"web.shop.minilb HTTPS", "WEB.shop.minilb HTTPS +noedns", "a.ex.org HTTPS", "q.w.ex.org HTTPS",
		"alpn.shop.minilb HTTPS", "dual.shop.minilb HTTPS", "dual.ex.org HTTPS", "Dual.Ex.Org HTTPS +tcp",
		"plain.shop.minilb HTTPS", "empty.shop.minilb HTTPS", "web.shop.minilb SVCB", "a.ex.org SVCB", "10-244-1-7.web.shop.minilb HTTPS",
		"shop.minilb HTTPS", "minilb HTTPS", "_8443._https.web.shop.minilb HTTPS", "nope.shop.minilb HTTPS", "x.g.ex.org HTTPS",
	}}.check(t, full.Addr)
	transcript{"dual", fullServer + "Addresses and ports of both families (D20, D40, D41).", []string{
		"dual.shop.minilb A", "dual.shop.minilb AAAA", "dual.ex.org AAAA",
		"_https._tcp.dual.shop.minilb SRV", "_mqtt._tcp.dual.shop.minilb SRV +noedns +norec", "_http._tcp.plain.shop.minilb SRV",
		"10-244-2-1.dual.shop.minilb A", "10-244-2-1.dual.shop.minilb AAAA",
		"fd00-10-244-2--1.dual.shop.minilb AAAA", "fd00-10-244-2--0.dual.shop.minilb AAAA", "fd00-10-244-2--.dual.shop.minilb AAAA",
	}}.check(t, full.Addr)
	const (
		sixNet = "4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa"
		six    = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0." + sixNet
	)
	transcript{"reverse", fullServer + "Reverse zones (D60).", []string{
		"-x 10.244.1.7", "7.1.244.10.IN-ADDR.ARPA PTR", "-x 10.244.2.1", "1.2.244.10.in-addr.arpa A", "1.2.244.10.in-addr.arpa ANY",
		"-x fd00:10:244:2::1", six + " PTR", strings.ToUpper(six) + " PTR +noedns",
		"-x 10.244.1.8", "-x 10.244.9.9", "1.244.10.in-addr.arpa PTR", "x.7.1.244.10.in-addr.arpa PTR", "2.0.0.0." + sixNet + " PTR", "-x fd00:10:244:2::9",
		"244.10.in-addr.arpa PTR", "244.10.in-addr.arpa SOA", "244.10.in-addr.arpa NS", "244.10.in-addr.arpa ANY", sixNet + " SOA", sixNet + " NS",
		"1.245.10.in-addr.arpa PTR", "10.in-addr.arpa PTR", "-x 192.0.2.1",
	}}.check(t, full.Addr)
}

// testFallbackDig asks while a terminating pod is all that there is (E3).
func testFallbackDig(t *testing.T, s *vectorServer) {
	transcript{"fallback", lanResolver + "Pod .7 is unready.", []string{
		"web.shop.minilb A", "a.ex.org A", "_https._tcp.web.shop.minilb SRV", "10-244-1-8.web.shop.minilb A", "10-244-1-7.web.shop.minilb A",
	}}.check(t, s.Addr)
}
