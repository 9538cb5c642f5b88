package resolvers_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// TestClientSubnet has resolvers tell the server who asks, by the lines of the recipe: each client gets what it gets from the server
// itself, also from what the resolver keeps, and what is near it (L4, L5). Without them all clients get the same pod first.
func TestClientSubnet(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	var endpoints []string
	for i := range 20 {
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [10.244.8.%d], zone: %s}", i+1, []string{"attic", "cellar"}[i/16]))
	}
	harness.Must(t, harness.Apply(c, strings.NewReplacer("NS", namespace, "ENDPOINTS", strings.Join(endpoints, ", ")).Replace(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: web.NS.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, sessionAffinity: ClientIP, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: NS, labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: test}}
addressType: IPv4
endpoints: [ENDPOINTS]
`)))
	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t), "affinity", "near 127.0.0.2/32 zone cellar", "ttl 60"))
	s.WaitReady(t)
	domains := []string{"minilb", namespace + ".example"}
	names := []string{"web." + namespace + ".minilb", "web." + namespace + ".example"}
	recipe := harness.Recipe(t, "resolvers.md", "The client's address") // dnsmasq, Unbound
	unboundLines := strings.TrimPrefix(strings.ReplaceAll(recipe[1], `    client-subnet-zone: "minilb"`+"\n", harness.ForEach(domains, "    client-subnet-zone: \"DOMAIN\"\n")), "server:\n")
	for _, r := range []resolver{
		{"dnsmasq", func(t *testing.T, server string, domains []string) string {
			return startDnsmasq(t, harness.AnswersFor, domains[0], harness.ResolverRecipe(t, "dnsmasq", server, domains)[0]+recipe[0])
		}},
		{"unbound", func(t *testing.T, server string, domains []string) string {
			return startUnbound(t, domains[0], unboundProtections+unboundLines, harness.ResolverRecipe(t, "Unbound", server, domains)[0]).addr
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			addr := r.start(t, s.Addr, domains)
			for _, name := range names {
				firsts := map[string]bool{}
				for round := range 2 {
					for i := range 12 {
						client := fmt.Sprintf("127.0.0.%d", i+2)
						want, err := askFrom(client, s.Addr, name)
						harness.Must(t, err)
						got, err := askFrom(client, addr, name)
						harness.Must(t, err)
						if !slices.Equal(got, want) {
							t.Fatalf("%s, %s, round %d: got\n%v, want\n%v", name, client, round, got, want)
						}
						if all := 4 + 12*min(i, 1); len(want) != all { // the first is near four of them
							t.Fatalf("%s, %s: got %v", name, client, want)
						}
						firsts[got[0]] = true
					}
				}
				if len(firsts) < 6 {
					t.Errorf("%s: 12 clients get %v first", name, firsts)
				}
			}
		})
	}
	t.Run("dnsmasq without", func(t *testing.T) {
		addr := dnsmasqServer(t, s.Addr, domains)
		first, err := askFrom("127.0.0.3", s.Addr, names[0])
		harness.Must(t, err)
		want, err := askFrom("127.0.0.1", s.Addr, names[0]) // which dnsmasq asks from
		harness.Must(t, err)
		got, err := askFrom("127.0.0.3", addr, names[0])
		harness.Must(t, err)
		if !slices.Equal(got, want) || slices.Equal(got, first) {
			t.Errorf("got %v, want %v, as dnsmasq gets, and not %v", got, want, first)
		}
	})
}

// askFrom returns the addresses of a name in the order of the answer to a client.
func askFrom(client, server, name string) (answers []string, err error) {
	c := dns.Client{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(client)}}}
	reply, _, err := c.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), server)
	if err != nil {
		return nil, fmt.Errorf("%s from %s: %w", name, client, err)
	}
	for _, rr := range reply.Answer {
		answers = append(answers, dns.Field(rr, 1))
	}
	return answers, nil
}
