package dns_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestProperties starts the real binary with each property that changes what is served, in a server
// block of its own: none changes what another serves.
func TestProperties(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Audit: true})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.Must(t, harness.Apply(c, `
{apiVersion: v1, kind: Namespace, metadata: {name: one}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: two}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: one, annotations: {minilb/host: web.example, external-dns.alpha.kubernetes.io/hostname: ed.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: two}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: other, namespace: one}, spec: {type: LoadBalancer, loadBalancerClass: example.org/lb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: plain, namespace: one}, spec: {type: LoadBalancer, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: ignored, namespace: one, labels: {minilb/ignore: "true"}}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nginx, namespace: two}
spec: {ingressClassName: nginx, rules: [{host: nginx.example, HTTP}]}
status: {loadBalancer: {ingress: [{ip: 10.9.0.1}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: traefik, namespace: two, annotations: {minilb/service: one/web}}
spec: {ingressClassName: traefik, rules: [{host: traefik.example, HTTP}]}
status: {loadBalancer: {ingress: [{ip: 10.9.0.2}]}}
---
`+ // E12: slices made by hand, for Services without a selector
		harness.StaticSlice("one", "web", "IPv4", "10.1.0.1", "10.1.0.2", "10.1.0.3")+harness.StaticSlice("one", "web", "IPv6", "fd01::1")+
		harness.StaticSlice("one", "other", "IPv4", "10.1.0.4")+harness.StaticSlice("one", "plain", "IPv4", "10.1.0.5")+harness.StaticSlice("one", "ignored", "IPv4", "10.1.0.6")+harness.StaticSlice("two", "web", "IPv4", "10.2.0.1")))
	up := harness.StartUpstream(t)
	const web = "web.one.minilb A 10.1.0.1 10.1.0.2 10.1.0.3"
	tests := []struct {
		properties []string
		want       []string // as testServed has it
	}{
		{nil, []string{web, "web.two.minilb A 10.2.0.1", "other.one.minilb A NXDOMAIN", "plain.one.minilb A NXDOMAIN", "ignored.one.minilb A NXDOMAIN", "web.example AAAA fd01::1", "ed.example A forwarded", "nginx.example A 10.9.0.1", "traefik.example AAAA fd01::1", "traefik.example A 10.1.0.1 10.1.0.2 10.1.0.3"}},
		{[]string{"class example.org/lb"}, []string{"other.one.minilb A 10.1.0.4", "web.one.minilb A NXDOMAIN", "web.example A forwarded", "traefik.example A forwarded"}},
		{[]string{"default_class"}, []string{web, "plain.one.minilb A 10.1.0.5", "other.one.minilb A NXDOMAIN"}},
		{[]string{"resources service"}, []string{web, "web.example AAAA fd01::1", "nginx.example A forwarded", "traefik.example A forwarded"}},
		{[]string{"resources ingress"}, []string{"web.one.minilb A NXDOMAIN", "web.example A forwarded", "nginx.example A 10.9.0.1", "traefik.example AAAA fd01::1"}},
		{[]string{"namespaces one"}, []string{web, "web.two.minilb A NXDOMAIN", "two.minilb A NXDOMAIN", "nginx.example A forwarded"}},
		{[]string{"namespaces one two"}, []string{web, "web.two.minilb A 10.2.0.1", "traefik.example AAAA fd01::1"}},
		{[]string{"ingress_classes traefik"}, []string{"nginx.example A forwarded", "traefik.example AAAA fd01::1"}},
		{[]string{"host_annotations external-dns.alpha.kubernetes.io/hostname"}, []string{"ed.example AAAA fd01::1", "web.example A forwarded"}},
		{[]string{"claim example from two"}, []string{web, "web.example A forwarded", "nginx.example A 10.9.0.1"}},
		{[]string{"families ipv6"}, []string{"web.one.minilb A NODATA", "web.one.minilb AAAA fd01::1"}},
		{[]string{"families ipv4"}, []string{web, "web.one.minilb AAAA NODATA"}},
		{[]string{"fallthrough"}, []string{web, "nope.one.minilb A forwarded", "web.one.minilb TXT NODATA"}},
		{[]string{"ns 192.0.2.53"}, []string{"ns1.minilb A 192.0.2.53", "ns1.minilb AAAA NODATA", "minilb NS ns1.minilb."}},
		{[]string{"ns dns.example.org"}, []string{"minilb NS dns.example.org.", "ns1.minilb A NXDOMAIN"}},
	}
	t.Run("properties", func(t *testing.T) {
		ports := harness.FreePorts(t, len(tests))
		limited := harness.FreePorts(t, 1)[0]
		// Plugin ready knows one block with minilb: each is asked whether it has the cluster's state.
		block := func(addr string, properties ...string) string {
			return strings.NewReplacer("PORT", harness.PortOf(addr), "HEALTH", "", "READY", "", "PROM", "").Replace(harness.ResolverFor(kubeconfig, up, properties...)) + "\n"
		}
		corefile := "unasked:PORT {\nbind 127.0.0.1\n}\n" + block(limited, "ttl 77", "max_answers 2")
		for i, tc := range tests {
			corefile += block(ports[i], tc.properties...)
		}
		harness.StartCoreDNS(t, corefile)
		for i, tc := range tests {
			t.Run(strings.Join(tc.properties, ","), func(t *testing.T) { testServed(t, ports[i], tc.want) })
		}
		t.Run("ttl 77, max_answers 2", func(t *testing.T) { testLimited(t, limited) })
	})
	t.Run("blocks for some names", func(t *testing.T) { // D8
		s := harness.StartCoreDNS(t, "traefik.example:PORT {\nbind 127.0.0.1\nREADY\nPROM\nminilb minilb lan {\nkubeconfig "+kubeconfig+"\n}\n}\nlan:PORT {\nbind 127.0.0.1\nminilb {\nkubeconfig "+kubeconfig+"\n}\n}\n")
		s.WaitReady(t)
		harness.Must(t, s.Expect("traefik.example", dns.TypeA, "10.1.0.1", "10.1.0.2", "10.1.0.3"))
		for _, want := range []string{`Zone minilb. is outside all server blocks`, `Ingress two/nginx: host "nginx.example" cannot be asked for`, `Service one/web: host "web.example" cannot be asked for`} {
			cluster.Eventually(t, 10*time.Second, func() error {
				if lines := s.Log.Lines(want); len(lines) != 1 {
					return fmt.Errorf("got %d lines %q, want one:\n%s", len(lines), want, s.Log)
				}
				return nil
			})
		}
		if lines := s.Log.Lines("[WARNING]"); len(lines) != 3 {
			t.Errorf("got %q, want three warnings", lines)
		}
	})
	t.Run("several blocks, one watch", func(t *testing.T) {
		began := time.Now()
		properties := "{\nkubeconfig " + kubeconfig + "\n}"
		s := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nREADY\nPROM\nmetadata\nlog . \"asked {name} behind {/minilb/namespace}/{/minilb/service} by {/minilb/source}\"\nminilb minilb "+properties+"\nforward . "+up+"\n}\nlan:PORT {\nbind 127.0.0.1\nminilb {\nkubeconfig "+kubeconfig+"\nnamespaces one\n}\n}\n")
		s.WaitReady(t)
		for _, name := range []string{"web.example", "traefik.example"} {
			if err := s.Expect(name, dns.TypeA, "10.1.0.1", "10.1.0.2", "10.1.0.3"); err != nil {
				t.Error(err)
			}
		}
		for _, line := range [][]string{{"web.one.minilb", "10.1.0.1", "10.1.0.2", "10.1.0.3"}, {"web.one.lan", "10.1.0.1", "10.1.0.2", "10.1.0.3"}, {"web.two.minilb", "10.2.0.1"}} {
			if err := s.Expect(line[0], dns.TypeA, line[1:]...); err != nil {
				t.Error(err)
			}
		}
		if err := s.ExpectRcode("web.two.lan", dns.TypeA, dns.RcodeNameError); err != nil {
			t.Error(err)
		}
		// D8: what one block is not for, the other is.
		if lines := s.Log.Lines("cannot be asked for"); len(lines) != 0 {
			t.Errorf("got %q, want none", lines)
		}
		for _, want := range []string{"asked web.one.minilb. behind one/web by service", "asked web.example. behind one/web by service", "asked traefik.example. behind one/web by ingress"} {
			cluster.Eventually(t, 10*time.Second, func() error { // the answer comes first
				if lines := s.Log.Lines(want); len(lines) != 1 {
					return fmt.Errorf("the log has %d lines %q, want one:\n%s", len(lines), want, s.Log)
				}
				return nil
			})
		}
		requests, err := c.Requests()
		harness.Must(t, err)
		watches := map[string]int{}
		for _, r := range requests {
			if r.Verb == "watch" && r.Stage == "ResponseStarted" && r.Code == http.StatusOK && r.Time.After(began) && strings.HasPrefix(r.UserAgent, "minilb") {
				resource, query, _ := strings.Cut(r.URI, "?")
				options, _ := url.ParseQuery(query)
				if strings.HasSuffix(resource, "/namespaces") {
					resource += " " + options.Get("fieldSelector")
				}
				watches[strings.TrimSpace(resource+" "+options.Get("labelSelector"))]++
			}
		}
		// One for all namespaces and one for the namespace of the other block, but for Services, by their type and by their label: what all have is there.
		if len(watches) != 8 || slices.Max(slices.Collect(maps.Values(watches))) != 1 {
			t.Errorf("got watches %v, want one of each kind for each set of namespaces", watches)
		}
	})
}

// testServed asks the server at addr for lines "name type data...", "name type NXDOMAIN",
// "name type NODATA" or "name type forwarded".
func testServed(t *testing.T, addr string, lines []string) {
	s := &harness.CoreDNS{Addr: addr}
	cluster.Eventually(t, 30*time.Second, harness.AnswersFor(addr, "minilb."))
	for _, line := range lines {
		fields := strings.Fields(line)
		name, qtype, data := fields[0], dns.StringToType[fields[1]], fields[2:]
		var err error
		switch data[0] {
		case "NXDOMAIN":
			err = s.ExpectRcode(name, qtype, dns.RcodeNameError)
		case "NODATA":
			err = s.ExpectRcode(name, qtype, dns.RcodeSuccess)
		case "forwarded":
			err = s.Expect(name, dns.TypeTXT, `"upstream"`)
			if reply, _ := s.Ask("udp", name, qtype); reply == nil || reply.Authoritative {
				t.Errorf("%s was answered here", name)
			}
		default:
			err = s.Expect(name, qtype, data...)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// testLimited asks a server with ttl 77 and max_answers 2.
func testLimited(t *testing.T, addr string) {
	cluster.Eventually(t, 30*time.Second, harness.AnswersFor(addr, "minilb."))
	seen := map[string]bool{}
	for range 100 {
		reply, err := harness.Ask(addr, "udp", "web.one.minilb", dns.TypeA)
		harness.Must(t, err)
		if len(reply.Answer) != 2 {
			t.Fatalf("got %d addresses, want 2", len(reply.Answer))
		}
		for _, rr := range reply.Answer {
			seen[rr.(*dns.A).A.String()] = true
			if rr.Header().Ttl != 77 {
				t.Fatalf("TTL %d, want 77", rr.Header().Ttl)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("100 answers had only %v", seen)
	}
	reply, err := harness.Ask(addr, "udp", "nope.minilb", dns.TypeA)
	harness.Must(t, err)
	if soa := reply.Ns[0].(*dns.SOA); soa.Hdr.Ttl != 77 || soa.Minttl != 77 {
		t.Errorf("got %v, want negative TTL 77", soa)
	}
}
