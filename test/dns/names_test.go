package dns_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// TestOriginal is the behaviour of the program that this one succeeds.
func TestOriginal(t *testing.T) {
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	for i := range 3 {
		harness.Must(t, c.Node(ctx, fmt.Sprintf("node%d", i), fmt.Sprintf("192.168.1.3%d", i), fmt.Sprintf("2001:db8::3%d", i)))
	}
	harness.Must(t, harness.Apply(c, `
{apiVersion: v1, kind: Namespace, metadata: {name: automation}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: haproxy}}
---
apiVersion: v1
kind: Service
metadata: {name: mosquitto, namespace: automation, annotations: {minilb/host: "mqtt.sko.ai, mqtt.example.com"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ipFamilyPolicy: PreferDualStack, selector: {app: mosquitto}, ports: [{port: 1883}]}
---
apiVersion: v1
kind: Service
metadata: {name: six, namespace: automation}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ipFamilies: [IPv6], selector: {app: mosquitto}, ports: [{port: 1883}]}
---
apiVersion: v1
kind: Service
metadata: {name: internal-kubernetes-ingress, namespace: haproxy}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: haproxy}, ports: [{port: 443}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: paperless, namespace: automation}
spec: {rules: [{host: paperless.sko.ai, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: internal-kubernetes-ingress.haproxy.minilb}]}}
`))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "automation", Name: "m-0", Labels: map[string]string{"app": "mosquitto"}, Node: "node0", IPs: []string{"10.244.0.10", "fd00:10:244::10"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "automation", Name: "m-1", Labels: map[string]string{"app": "mosquitto"}, Node: "node1", IPs: []string{"10.244.1.10", "fd00:10:244:1::10"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "automation", Name: "m-2", Labels: map[string]string{"app": "mosquitto"}, Node: "node2", IPs: []string{"10.244.2.10", "fd00:10:244:2::10"}, Unready: true}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "haproxy", Name: "h-0", Labels: map[string]string{"app": "haproxy"}, Node: "node2", IPs: []string{"10.244.2.20"}}))

	up := harness.StartUpstream(t)
	s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up))
	s.WaitReady(t)
	for _, name := range []string{"mosquitto.automation.minilb", "mqtt.sko.ai", "mqtt.example.com"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, "10.244.0.10", "10.244.1.10") })
		cluster.Eventually(t, 10*time.Second, func() error {
			return s.Expect(name, dns.TypeAAAA, "fd00:10:244:1::10", "fd00:10:244::10")
		})
		reply, err := s.Ask("udp", name, dns.TypeA)
		harness.Must(t, err)
		for _, rr := range reply.Answer {
			if rr.Header().Ttl != 5 {
				t.Errorf("%s: TTL %d, want 5", name, rr.Header().Ttl)
			}
		}
	}
	// E14: a v6-only Service; "unknown host" would be wrong for its A.
	cluster.Eventually(t, 10*time.Second, func() error {
		return s.Expect("six.automation.minilb", dns.TypeAAAA, "fd00:10:244:1::10", "fd00:10:244::10")
	})
	if err := s.ExpectRcode("six.automation.minilb", dns.TypeA, dns.RcodeSuccess); err != nil {
		t.Error(err)
	}
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("paperless.sko.ai", dns.TypeA, "10.244.2.20") })
	if err := s.Expect("kubernetes.io", dns.TypeTXT, `"upstream"`); err != nil {
		t.Error(err)
	}

	// What the original does not do: a host goes with its annotation.
	service, err := c.Client.CoreV1().Services("automation").Get(ctx, "mosquitto", metav1.GetOptions{})
	harness.Must(t, err)
	service.Annotations = map[string]string{"minilb/host": "mqtt.sko.ai"}
	_, err = c.Client.CoreV1().Services("automation").Update(ctx, service, metav1.UpdateOptions{})
	harness.Must(t, err)
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("mqtt.example.com", dns.TypeTXT, `"upstream"`) })
	harness.Must(t, s.Expect("mqtt.sko.ai", dns.TypeA, "10.244.0.10", "10.244.1.10"))
}

// TestProperties starts the real binary with each property that changes what is served.
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
`+harness.StaticSlice("one", "web", "IPv4", "10.1.0.1", "10.1.0.2", "10.1.0.3")+harness.StaticSlice("one", "web", "IPv6", "fd01::1")+
		harness.StaticSlice("one", "other", "IPv4", "10.1.0.4")+harness.StaticSlice("one", "plain", "IPv4", "10.1.0.5")+harness.StaticSlice("one", "ignored", "IPv4", "10.1.0.6")+harness.StaticSlice("two", "web", "IPv4", "10.2.0.1")))
	up := harness.StartUpstream(t)
	const (
		web  = "web.one.minilb A 10.1.0.1 10.1.0.2 10.1.0.3"
		gone = "NXDOMAIN"
	)
	tests := []struct {
		properties []string
		want       []string // "name type data...", "name type NXDOMAIN", "name type NODATA" or "name type forwarded"
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
	for _, tc := range tests {
		t.Run(strings.Join(tc.properties, ","), func(t *testing.T) {
			s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up, tc.properties...))
			s.WaitReady(t)
			for _, line := range tc.want {
				fields := strings.Fields(line)
				name, qtype, data := fields[0], dns.StringToType[fields[1]], fields[2:]
				var err error
				switch data[0] {
				case gone:
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
		})
	}
	t.Run("ttl 77, max_answers 2", func(t *testing.T) {
		s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up, "ttl 77", "max_answers 2"))
		s.WaitReady(t)
		seen := map[string]bool{}
		for range 100 {
			reply, err := s.Ask("udp", "web.one.minilb", dns.TypeA)
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
		reply, err := s.Ask("udp", "nope.minilb", dns.TypeA)
		harness.Must(t, err)
		if soa := reply.Ns[0].(*dns.SOA); soa.Hdr.Ttl != 77 || soa.Minttl != 77 {
			t.Errorf("got %v, want negative TTL 77", soa)
		}
	})
	t.Run("blocks for some names", func(t *testing.T) { // D8
		s := harness.StartCoreDNS(t, "traefik.example:PORT {\nbind 127.0.0.1\nREADY\nPROM\nminilb minilb lan {\nkubeconfig "+kubeconfig+"\n}\n}\nlan:PORT {\nbind 127.0.0.1\nminilb {\nkubeconfig "+kubeconfig+"\n}\n}\n")
		s.WaitReady(t)
		harness.Must(t, s.Expect("traefik.example", dns.TypeA, "10.1.0.1", "10.1.0.2", "10.1.0.3"))
		for _, want := range []string{`Zone minilb. lies outside of all server blocks`, `Ingress two/nginx: host "nginx.example." cannot be asked for`, `Service one/web: host "web.example." cannot be asked for`} {
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
				resource, _, _ := strings.Cut(r.URI, "?")
				watches[resource]++
			}
		}
		// One for all namespaces and one for the namespace of the other stanza.
		if len(watches) != 6 || slices.Max(slices.Collect(maps.Values(watches))) != 1 {
			t.Errorf("got watches %v, want one of each kind for each set of namespaces", watches)
		}
	})
}
