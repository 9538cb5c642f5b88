package resolvers_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// resolverState is what resolvers are asked for. NS stands for the namespace, HOSTS for the
// hosts that are claimed in the zones.
const resolverState = `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: NS
  annotations: {minilb/host: "www.NS.example, old.NS.example, lan.NS.example, *.apps.NS.example, HOSTS"}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: dual, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ipFamilyPolicy: PreferDualStack, ports: [{name: http, port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: NS}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: many, namespace: NS}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: elsewhere, namespace: NS}
spec: {rules: [{host: elsewhere.NS.example, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: mail.NS.example}]}}
---
`

// applyResolverState applies resolverState to a namespace of its own, whose name it returns.
func applyResolverState(t *testing.T, c *cluster.Cluster, zones ...string) string {
	t.Helper()
	namespace := harness.NewNamespace(t, c)
	var hosts, many []string
	for _, zone := range zones {
		hosts = append(hosts, "*.wild."+namespace+"."+strings.TrimSuffix(zone, "."))
	}
	for i := range 20 {
		many = append(many, fmt.Sprintf("10.244.10.%d", i+1))
	}
	slices := harness.StaticSlice(namespace, "web", "IPv4", "10.244.9.1", "10.244.9.2") + harness.StaticSlice(namespace, "dual", "IPv4", "10.244.9.3") +
		harness.StaticSlice(namespace, "dual", "IPv6", "fd00:10:244:9::3") + harness.StaticSlice(namespace, "many", "IPv4", many...)
	slices = strings.ReplaceAll(slices, "---\n", "ports: [{name: http, port: 8080, protocol: TCP}]\n---\n")
	harness.Must(t, harness.Apply(c, strings.NewReplacer("HOSTS", strings.Join(hosts, ", "), "NS", namespace).Replace(resolverState)+slices))
	return namespace
}

// publicZone is what the public DNS has of the domain that hosts are claimed in.
const publicZone = `
$TTL 5
@    SOA ns hostmaster 1 2 3 4 5
@    NS  ns
ns   A   192.0.2.53
www  A   192.0.2.80
old  CNAME mail
www  TXT "public"
www  MX  10 mail
mail A   192.0.2.25
mail TXT "mail"
`

// startPublic serves the domain of the namespace's hosts as the public DNS has it.
func startPublic(t *testing.T, namespace string) string {
	t.Helper()
	return harness.StartCoreDNS(t, namespace+`.example:PORT {
		bind 127.0.0.1
		file `+harness.ConfigFile(t, "zone", publicZone)+`
	}`).Addr
}

// named is a name that resolvers are asked for.
type named struct {
	name string
	data map[uint16][]string // by type; what is not here is NODATA
	some int                 // if not 0, how many of the data an answer has at least, and at most 16 addresses
	gone bool                // NXDOMAIN

	apex    string // of the zone that it is in
	ttl     uint32 // of what minilb answers, in seconds
	public  bool   // outside of our zones
	claimed bool   // a host there
	alias   bool   // in the public DNS
}

// zoneNames are the names of resolverState in a zone with this TTL, and their neighbours.
func zoneNames(namespace, zone string, ttl uint32) []named {
	web := []string{"10.244.9.1", "10.244.9.2"}
	a := map[uint16][]string{dns.TypeA: web}
	var many, targets []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("10.244.10.%d", i+1))
		targets = append(targets, fmt.Sprintf("0 100 8080 10-244-10-%d.many.NS.ZONE", i+1))
	}
	return inNamespace(namespace, zone, ttl, []named{
		{name: "web.NS.ZONE", data: a},
		{name: "dual.NS.ZONE", data: map[uint16][]string{dns.TypeA: {"10.244.9.3"}, dns.TypeAAAA: {"fd00:10:244:9::3"}}},
		{name: "many.NS.ZONE", data: map[uint16][]string{dns.TypeA: many}, some: 16}, // D23
		{name: "empty.NS.ZONE"}, // D18
		{name: "nope.NS.ZONE", gone: true},
		{name: "www.nope.NS.ZONE", gone: true},
		{name: "nope.ZONE", gone: true},
		{name: "x.wild.NS.ZONE", data: a},   // D10
		{name: "y.x.wild.NS.ZONE", data: a}, // I4
		{name: "wild.NS.ZONE"},              // D12
		{name: "NS.ZONE"},
		{name: "_tcp.web.NS.ZONE"},
		{name: "ZONE"}, // D27
		{name: "_http._tcp.web.NS.ZONE", data: map[uint16][]string{dns.TypeSRV: {"0 100 8080 10-244-9-1.web.NS.ZONE", "0 100 8080 10-244-9-2.web.NS.ZONE"}}},
		{name: "_http._tcp.many.NS.ZONE", data: map[uint16][]string{dns.TypeSRV: targets}, some: 7}, // D23b: all, where a resolver does not cut them
		{name: "_https._tcp.web.NS.ZONE", gone: true},
		{name: "10-244-9-1.web.NS.ZONE", data: map[uint16][]string{dns.TypeA: web[:1]}}, // D40
	})
}

// hostNames are those of the domain that hosts are claimed in: what else there is of them comes
// from the public DNS (D3, D6).
func hostNames(namespace string) []named {
	web := []string{"10.244.9.1", "10.244.9.2"}
	names := inNamespace(namespace, "NS.example.", 1, []named{
		{name: "www.ZONE", claimed: true, data: map[uint16][]string{dns.TypeA: web, dns.TypeTXT: {`"public"`}, dns.TypeMX: {"10 mail.ZONE"}}},
		{name: "old.ZONE", claimed: true, alias: true, data: map[uint16][]string{dns.TypeA: web, dns.TypeTXT: {`"mail"`}}},
		{name: "lan.ZONE", claimed: true, data: map[uint16][]string{dns.TypeA: web}},
		{name: "q.apps.ZONE", claimed: true, data: map[uint16][]string{dns.TypeA: web}},
		{name: "apps.ZONE", gone: true}, // D3: what lies above a wildcard is not claimed
		{name: "mail.ZONE", data: map[uint16][]string{dns.TypeA: {"192.0.2.25"}, dns.TypeTXT: {`"mail"`}}},
		{name: "nope.ZONE", gone: true},
	})
	for i := range names {
		names[i].public = true
	}
	return names
}

func inNamespace(namespace, zone string, ttl uint32, names []named) []named {
	fill := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, "ZONE", zone), "NS", namespace)
	}
	for i, n := range names {
		data := map[uint16][]string{}
		for qtype, all := range n.data {
			for _, d := range all {
				data[qtype] = append(data[qtype], fill(d))
			}
			slices.Sort(data[qtype])
		}
		names[i].name, names[i].apex, names[i].ttl, names[i].data = fill(n.name), fill(zone), ttl, data
	}
	return names
}

// ours reports whether minilb itself answers for the type (D6).
func (n named) ours(qtype uint16) bool {
	return !n.public || n.claimed && slices.Contains([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY}, qtype)
}

// origin returns whose SOA stands in the answer if there is no such data, and the TTL of
// both in seconds.
func (n named) origin(qtype uint16) (soa string, ttl uint32) {
	switch {
	case !n.public:
		return n.apex, n.ttl
	case n.ours(qtype):
		return n.name, n.ttl // D5
	case n.alias:
		return n.name, 5
	}
	return n.apex, 5
}

var errNoSOA = errors.New("got no SOA, by which whoever asks would keep the answer for a while")

// check compares a reply with what it is to be.
func (n named) check(question dns.Question, reply *dns.Msg) error {
	if len(reply.Question) != 1 || reply.Question[0] != question { // D22
		return fmt.Errorf("the question came back as %v", reply.Question)
	}
	rcode := dns.RcodeSuccess
	if n.gone {
		rcode = dns.RcodeNameError
	}
	apex, maxTTL := n.origin(question.Qtype)
	var got []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != question.Qtype || !strings.EqualFold(rr.Header().Name, n.name) || rr.Header().Ttl > maxTTL {
			return fmt.Errorf("got %q, want the name's %s with TTL %d at most", rr, dns.TypeToString[question.Qtype], maxTTL)
		}
		got = append(got, strings.ToLower(strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	slices.Sort(got)
	want := n.data[question.Qtype]
	switch {
	case reply.Rcode != rcode:
		return fmt.Errorf("got %s, want %s", dns.RcodeToString[reply.Rcode], dns.RcodeToString[rcode])
	case n.some > 0 && len(want) > 0:
		stray := slices.DeleteFunc(slices.Clone(got), func(d string) bool { return slices.Contains(want, d) })
		most := 16
		if question.Qtype == dns.TypeSRV {
			most = len(want)
		}
		if count := len(slices.Compact(got)); count < n.some || count > most || len(stray) > 0 { // D23, D23b
			return fmt.Errorf("got %q, want %d to %d of %q", got, n.some, most, want)
		}
	case !slices.Equal(got, want):
		return fmt.Errorf("got %q, want %q", got, want)
	}
	if len(want) > 0 {
		return nil
	}
	if len(reply.Ns) == 0 { // D25
		return errNoSOA
	}
	if len(reply.Ns) == 1 {
		if soa, ok := reply.Ns[0].(*dns.SOA); ok && soa.Hdr.Ttl <= maxTTL && soa.Minttl <= maxTTL && strings.EqualFold(soa.Hdr.Name, apex) {
			return nil
		}
	}
	return fmt.Errorf("got AUTHORITY %q, want the SOA of %s with TTL %d at most", reply.Ns, apex, maxTTL)
}
