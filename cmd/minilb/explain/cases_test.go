package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// rcode and addresses of an answer, in one line.
func (a *Answer) line() string {
	parts := []string{a.Rcode}
	if a.Own {
		parts = append(parts, "own")
	}
	if a.CNAME != "" {
		parts = append(parts, "CNAME "+a.CNAME)
	}
	return strings.Join(slices.Concat(parts, a.A, a.AAAA, a.SRV, a.PTR), " ")
}

// vps is the node of an endpoint of shop/web, with a label.
const vps = `
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {vps: ""}}
`

// What a name is, and what is answered for it. D2, D3, D8, D12, D20b, D27, D60, G44, M5b
func TestExplainNames(t *testing.T) {
	const (
		minilb  = ". {\n minilb minilb 244.10.in-addr.arpa\n}"
		passes  = "minilb has no such name and passes it on to the plugin that follows, such as forward. "
		routes  = "the API server does not serve GRPCRoute or TLSRoute: hosts of such routes cannot be found"
		below   = "below the name of Service shop/web: that of an endpoint, a port, or a host claimed in that namespace"
		claimed = "in none of the zones: answered if an object claims it"
		nothing = "It does not exist: NXDOMAIN. "
	)
	all := web + pending + empty + db + gateway + route + accepted + ingress("shop/alias", "i.ex.org", "hostname: x.example")
	for _, tc := range []struct {
		name, corefile, manifest string
		summary, zone, about     string
		notes                    []string
		answer                   string
	}{
		{"web.shop.minilb", minilb, all, "It is answered with 2 IPv4 addresses and no IPv6 address.", "minilb", "in zone minilb, the name of Service shop/web", []string{mismatch}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"WEB.shop.minilb.", minilb, all, "It is answered with 2 IPv4 addresses and no IPv6 address.", "minilb", "in zone minilb, the name of Service shop/web", []string{mismatch}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"web-0.web.shop.minilb", minilb, all, "It is answered with 1 IPv4 address and no IPv6 address.", "minilb", "in zone minilb, " + below, []string{mismatch}, "NOERROR 10.244.1.7"},
		{"_http._tcp.web.shop.minilb", minilb, all, "It is a named port: SRV answers with 2 targets.", "minilb", "in zone minilb, " + below, nil, "NOERROR 8080 web-0.web.shop.minilb 8080 web-1.web.shop.minilb"},
		{"_tcp.web.shop.minilb", minilb, all, "It exists because other names stand below it, and has no records of its own: NODATA.", "minilb", "in zone minilb, " + below, nil, "NOERROR"},
		{"shop.minilb", minilb, all, "It exists because other names stand below it, and has no records of its own: NODATA.", "minilb", `in zone minilb, where namespace "shop" has its Services' names below it`, nil, "NOERROR"},
		{"minilb", minilb, all, "It is the apex of a zone: it has SOA and NS records, and no addresses.", "minilb", "the apex of zone minilb", nil, "NOERROR"},
		{"ns1.minilb", minilb, all, "It is answered with the DNS server's own addresses.", "minilb", "the name server of zone minilb", []string{"its addresses are those that the DNS server listens on, or those of the property ns: they are not known here"}, "NOERROR own"},
		{"x.minilb", minilb, all, nothing + "No object asks for it.", "minilb", `in zone minilb, where namespace "x" has its Services' names below it`, []string{routes}, "NXDOMAIN"},
		{"x.minilb", ". {\n minilb minilb {\n  fallthrough\n }\n}", all, passes + "No object asks for it.", "minilb", `in zone minilb, where namespace "x" has its Services' names below it`, []string{routes}, ""},
		{"y.x.minilb", minilb, all, nothing + "See the notes for why.", "minilb", "in zone minilb, the name of Service x/y", []string{"Service x/y does not exist", routes}, "NXDOMAIN"},
		{"empty.shop.minilb", minilb, all, "It exists and has no address, so that A and AAAA are NODATA: its Service has no endpoints, as no pod matches its selector or none has an address yet.", "minilb", "in zone minilb, the name of Service shop/empty", nil, "NOERROR"},
		{"pending.shop.minilb", minilb, all, "It exists and has no address, so that A and AAAA are NODATA: its only endpoint is not ready; kubectl describe of the pod shows which probe fails.", "minilb", "in zone minilb, the name of Service shop/pending", nil, "NOERROR"},
		{"pending.shop.minilb", minilb, strings.Replace(all, "[10.244.1.9], conditions: {ready: false}}", "[10.244.1.9], conditions: {ready: false}}, {addresses: [10.244.1.10], conditions: {ready: false}}", 1),
			"It exists and has no address, so that A and AAAA are NODATA: none of its 2 endpoints is ready; kubectl describe of a pod shows which probe fails.", "minilb", "in zone minilb, the name of Service shop/pending", nil, "NOERROR"},
		{"web.shop.minilb", ". {\n minilb minilb {\n  families ipv6\n }\n}", all, "It exists and has no address, so that A and AAAA are NODATA: its endpoints are ready, and the families that the server answers with leave them out.", "minilb", "in zone minilb, the name of Service shop/web", []string{mismatch}, "NOERROR"},
		{"web.shop.minilb", minilb, strings.Replace(all, "addressType: IPv4", "addressType: FQDN", 1), "It exists and has no address, so that A and AAAA are NODATA: its Service has no endpoints, as no pod matches its selector or none has an address yet.",
			"minilb", "in zone minilb, the name of Service shop/web", []string{`EndpointSlice shop/web-1: its address type "FQDN" cannot be answered with; its endpoints are left out`, mismatch}, "NOERROR"},
		{"web.shop.minilb", ". {\n minilb minilb {\n  exclude_nodes vps\n }\n}", web + vps, "It is answered with 1 IPv4 address and no IPv6 address.", "minilb", "in zone minilb, the name of Service shop/web",
			[]string{`endpoints of Service shop/web on nodes that exclude_nodes "vps" matches are answered only where there is no other of their family`, mismatch}, "NOERROR 10.244.1.7"}, // L6
		{"8.1.244.10.in-addr.arpa", ". {\n minilb minilb 10.244.0.0/16 {\n  exclude_nodes vps\n }\n}", web + vps, nothing + "See the notes for why.", "244.10.in-addr.arpa", "in the reverse zone 244.10.in-addr.arpa, the name of address 10.244.1.8",
			[]string{"Service shop/web is not answered with its endpoint 10.244.1.8, which is ready, and whose node exclude_nodes matches"}, "NXDOMAIN"},
		{"i.ex.org", minilb, all, "It is an alias of x.example, which is not ours: the server looks that up and gives its addresses.", "", claimed, nil, "NOERROR CNAME x.example"},
		{"i.ex.org", ". {\n minilb minilb {\n  addresses 10.0.0.0/8\n }\n}", all, "It is an alias of x.example, which is not ours: the server looks that up and gives its addresses.", "", claimed,
			[]string{"of the addresses of x.example only those in a network of the property addresses are answered"}, "NOERROR CNAME x.example"}, // D34
		{"a.ex.org", minilb, all, "It is answered with 2 IPv4 addresses and no IPv6 address.", "", claimed, []string{mismatch}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"web.shop.home.local", ". {\n minilb home.local\n}", web, "It is answered with 2 IPv4 addresses and no IPv6 address.", "home.local", "in zone home.local, the name of Service shop/web",
			[]string{mismatch, "zone home.local lies in local, where macOS, iOS and Linux with systemd-resolved or Avahi look names up by multicast and ask no server (RFC 6762)"}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"a.ex.org", "minilb {\n minilb\n}", all, "It is answered with 2 IPv4 addresses and no IPv6 address.", "", claimed, []string{mismatch, "no server block with minilb is for a zone that the name lies in: the server does not ask minilb for it"}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"b.w.ex.org", minilb, all, "It is answered with 2 IPv4 addresses and no IPv6 address.", "", claimed, []string{mismatch}, "NOERROR 10.244.1.7 10.244.1.8"},
		{"w.ex.org", minilb, all, passes + "No object asks for it.", "", claimed, []string{routes}, ""},
		{"z.org", minilb, all, passes + "No object asks for it.", "", claimed, []string{routes}, ""},
		{"z.org", minilb, web, passes + "No object asks for it.", "", claimed, nil, ""},
		{".", minilb, web, passes + "No object asks for it.", "", claimed, nil, ""},
		{"7.1.244.10.in-addr.arpa", minilb, all, "It is the reverse name of an address: PTR answers with web-0.web.shop.minilb.", "244.10.in-addr.arpa", "in the reverse zone 244.10.in-addr.arpa, the name of address 10.244.1.7", nil, "NOERROR web-0.web.shop.minilb"},
		{"7.1.244.10.in-addr.arpa", minilb, strings.Replace(web, "hostname: web-0", "hostname: a", 1) + strings.NewReplacer("name: web", "name: api", "hostname: web-0", "hostname: b").Replace("\n---"+web), "It is the reverse name of an address: PTR answers with a.web.shop.minilb and b.api.shop.minilb.",
			"244.10.in-addr.arpa", "in the reverse zone 244.10.in-addr.arpa, the name of address 10.244.1.7", nil, "NOERROR a.web.shop.minilb b.api.shop.minilb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := newCluster(t, tc.corefile, tc.manifest).explain(t, tc.name)
			if want := strings.ToLower(hostname.Plain(tc.name)); x.Name != want && x.Name != tc.name {
				t.Errorf("got name %q, want %q", x.Name, want)
			}
			if x.Summary != tc.summary || x.Zone != tc.zone || x.About != tc.about {
				t.Errorf("got\n%s\n%q: %s\nwant\n%s\n%q: %s", x.Summary, x.Zone, x.About, tc.summary, tc.zone, tc.about)
			}
			if !slices.Equal(x.Notes, tc.notes) {
				t.Errorf("got notes\n%q, want\n%q", x.Notes, tc.notes)
			}
			if got := x.Answer.line(); got != tc.answer {
				t.Errorf("got answer %q, want %q", got, tc.answer)
			}
		})
	}
}

// D60: which endpoint a reverse name points to, or why it does not exist.
func TestExplainReverse(t *testing.T) {
	const (
		minilb = ". {\n minilb minilb 10.244.0.0/16\n}"
		zone   = "244.10.in-addr.arpa"
		in     = "in the reverse zone " + zone
	)
	all := web + pending + ingress("shop/i", "i.ex.org", "ip: 10.244.9.9")
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 61)
	for _, tc := range []struct {
		name, corefile, manifest string
		summary, about           string
		endpoints, notes         []string
	}{
		{"10.244.1.7", minilb, all, "It is the reverse name of an address: PTR answers with web-0.web.shop.minilb.", in + ", the name of address 10.244.1.7", []string{"shop/web 10.244.1.7 web-0 n1 ready true"}, []string{"7.1.244.10.in-addr.arpa is the reverse name of 10.244.1.7"}},
		{"9.1.244.10.in-addr.arpa", minilb, all, "It does not exist: NXDOMAIN. See the notes for why.", in + ", the name of address 10.244.1.9", []string{"shop/pending 10.244.1.9   not ready false"},
			[]string{"Service shop/pending is not answered with its endpoint 10.244.1.9, which is not ready"}},
		{"8.1.244.10.in-addr.arpa", ". {\n minilb minilb 10.244.0.0/16 {\n  families ipv6\n  fallthrough\n }\n}", all, "minilb has no such name and passes it on to the plugin that follows, such as forward. See the notes for why.", in + ", the name of address 10.244.1.8",
			[]string{"shop/web 10.244.1.8 web-1 n2 ready false"}, []string{"Service shop/web is not answered with its endpoint 10.244.1.8, which is ready"}},
		{"9.9.244.10.in-addr.arpa", minilb, all, "It does not exist: NXDOMAIN. See the notes for why.", in + ", the name of address 10.244.9.9", nil,
			[]string{"no Service of class minilb has an endpoint with address 10.244.9.9", "it is in the status of Ingress shop/i: only endpoints of Services have PTR records"}},
		{"9.244.10.in-addr.arpa", minilb, web, "It does not exist: NXDOMAIN. See the notes for why.", in, nil, []string{"no Service is answered with an address in 10.244.9.0/24"}},
		{"1.244.10.in-addr.arpa", minilb, web, "It exists because other names stand below it, and has no records of its own: NODATA.", in, nil, nil},
		{"x.244.10.in-addr.arpa", minilb, web, "It does not exist: NXDOMAIN. No object asks for it.", in, nil, nil},
		{"10.244.1.7", ". {\n minilb minilb fd00::/64\n}", web, "minilb has no such name and passes it on to the plugin that follows, such as forward. See the notes for why.", "in none of the zones: nobody can claim a reverse name",
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true"}, []string{"address 10.244.1.7 is in no reverse zone of minilb: add its network to the zones, such as 10.244.1.0/24", "7.1.244.10.in-addr.arpa is the reverse name of 10.244.1.7"}},
		{"fd01::1", ". {\n minilb minilb fd00::/64\n}", web, "minilb has no such name and passes it on to the plugin that follows, such as forward. See the notes for why.", "in none of the zones: nobody can claim a reverse name", nil,
			[]string{"address fd01::1 is in no reverse zone of minilb: add its network to the zones, such as fd01::/64", "no Service of class minilb has an endpoint with address fd01::1",
				"1." + strings.Repeat("0.", 27) + "1.0.d.f.ip6.arpa is the reverse name of fd01::1"}},
		{"7.1.244.10.in-addr.arpa", ". {\n minilb " + long + " 10.244.0.0/16\n}", strings.NewReplacer("namespace: shop", "namespace: "+strings.Repeat("s", 63), "web-0", strings.Repeat("h", 63)).Replace(web),
			"It does not exist: NXDOMAIN. See the notes for why.", in + ", the name of address 10.244.1.7", []string{strings.Repeat("s", 63) + "/web 10.244.1.7 " + strings.Repeat("h", 63) + " n1 ready true"},
			[]string{"the name of the endpoint of Service " + strings.Repeat("s", 63) + "/web is longer than DNS allows"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := newCluster(t, tc.corefile, tc.manifest).explain(t, tc.name)
			var endpoints []string
			for _, at := range x.Endpoints {
				endpoints = append(endpoints, fmt.Sprintf("%s %s %s %s %s %v", at.Service, at.Addr, at.Hostname, at.Node, at.State, at.Answered))
			}
			if x.Summary != tc.summary || x.About != tc.about || !slices.Equal(endpoints, tc.endpoints) || !slices.Equal(x.Notes, tc.notes) && len(x.Notes)+len(tc.notes) > 0 {
				t.Errorf("got\n%s\n%s\n%q\n%q\nwant\n%s\n%s\n%q\n%q", x.Summary, x.About, endpoints, x.Notes, tc.summary, tc.about, tc.endpoints, tc.notes)
			}
		})
	}
}

// Who claims a name, and what has become of each claim. C2, D10, D17, G20, G20b, M2, M6, M8, S6
func TestExplainClaims(t *testing.T) {
	const minilb = ". {\n minilb minilb\n}"
	const listener, admin = ` [http "*.g.ex.org" 80: ]`, ` [admin "admin.ex.org" 81: its hostname and the route's have nothing in common that is this name]`
	for _, tc := range []struct {
		name, manifest string
		want           []string // the claims
		endpoints      []string
	}{
		{"a.ex.org", web + ingress("dev/i", "a.ex.org", "ip: 10.9.9.9"), []string{
			"Service shop/web of 2026-01-01T00:00:00Z on a.ex.org answers [Service shop/web] ",
			`Ingress dev/i of 2026-02-02T00:00:00Z on a.ex.org does not count [] host "a.ex.org" is refused: another namespace claimed it earlier`},
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"b.w.ex.org", web, []string{"Service shop/web of 2026-01-01T00:00:00Z on *.w.ex.org answers [Service shop/web] "},
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"i.ex.org", web + ingress("shop/i", "i.ex.org", "hostname: web.shop.minilb}, {ip: 10.9.9.9"), []string{
			"Ingress shop/i of 2026-02-02T00:00:00Z on i.ex.org answers [Service shop/web address 10.9.9.9] "},
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"i.ex.org", web + ingress("shop/i", "i.ex.org", "hostname: db.shop.minilb"), []string{
			"Ingress shop/i of 2026-02-02T00:00:00Z on i.ex.org does not count [] host \"i.ex.org\" is not served: its address \"db.shop.minilb\" is in our zone, but nothing of ours has that name"}, nil},
		{"x.dev.minilb", web + ingress("shop/i", "x.dev.minilb", "ip: 10.9.9.9"), []string{
			`Ingress shop/i of 2026-02-02T00:00:00Z on x.dev.minilb does not count [] host "x.dev.minilb" is refused: names below dev.minilb belong to namespace "dev"`}, nil},
		{"i.ex.org", strings.Replace(web+ingress("shop/i", "i.ex.org", "ip: 10.9.9.9"), "name: i,", "name: i, labels: {minilb/ignore: \"true\"},", 1), []string{
			"Ingress shop/i of 2026-02-02T00:00:00Z on i.ex.org does not count [] label minilb/ignore or k8s-gateway.dns/ignore makes it absent"}, nil},
		{"a.ex.org", strings.Replace(web, "loadBalancerClass: minilb", "loadBalancerClass: metallb", 1), []string{
			`Service shop/web of 2026-01-01T00:00:00Z on a.ex.org does not count [] it is not of class "minilb": its spec.loadBalancerClass is "metallb"`}, nil},
		{"r.g.ex.org", web + gateway + route + accepted, []string{
			"HTTPRoute shop/r of 2026-03-03T00:00:00Z on r.g.ex.org answers [Service shop/web]  {Gateway shop/gw: }" + listener + admin},
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"r.g.ex.org", web + gateway + route, []string{
			"HTTPRoute shop/r of 2026-03-03T00:00:00Z on r.g.ex.org does not count [] host \"r.g.ex.org\" is not served: the route's status has no entry for Gateway shop/gw: is controller \"example.org/gc\" of GatewayClass \"gc\" running? {Gateway shop/gw: the route's status has no entry for Gateway shop/gw: is controller \"example.org/gc\" of GatewayClass \"gc\" running?}" + listener + admin}, nil},
		{"i.ex.org", web + strings.NewReplacer("name: web", "name: api", "a.ex.org, *.w.ex.org", "x.ex.org", "10.244.1", "10.244.2").Replace("\n---"+web) +
			ingress("shop/i", "i.ex.org", "hostname: web.shop.minilb") + ingress("shop/j", "i.ex.org", "hostname: web.shop.minilb}, {hostname: api.shop.minilb"), []string{
			"Ingress shop/i of 2026-02-02T00:00:00Z on i.ex.org answers [Service shop/web] ",
			"Ingress shop/j of 2026-02-02T00:00:00Z on i.ex.org answers [Service shop/api Service shop/web] "},
			[]string{"shop/api 10.244.2.7 api-0 n1 ready true", "shop/api 10.244.2.8 api-1 n2 ready true", "shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"nas.minilb", strings.Replace(web, "a.ex.org, *.w.ex.org", "nas\nlocalhost", 1), []string{ // I10
			`Service shop/web of 2026-01-01T00:00:00Z on nas.minilb answers [Service shop/web] host "nas" has no dot, so it means nas.minilb; "nas." with a final dot would be the name itself`},
			[]string{"shop/web 10.244.1.7 web-0 n1 ready true", "shop/web 10.244.1.8 web-1 n2 ready true"}},
		{"localhost", strings.Replace(web, "a.ex.org, *.w.ex.org", "nas\nlocalhost", 1), []string{ // C7
			`Service shop/web of 2026-01-01T00:00:00Z on localhost does not count [] host "localhost" is refused: localhost is for whoever asks; the line "claim . localhost" in the Corefile would allow it, and all others as before`}, nil},
		{"i.ex.org", web + ingress("shop/i", "i.ex.org", "hostname: localhost"), []string{ // D30
			`Ingress shop/i of 2026-02-02T00:00:00Z on i.ex.org does not count [] host "i.ex.org" is not served: its address "localhost" is whoever asks for it; annotation minilb/service can name a Service instead`}, nil},
		{"pending.shop.minilb", pending[5:], nil, []string{"shop/pending 10.244.1.9   not ready false"}},
	} {
		x := newCluster(t, minilb, tc.manifest).explain(t, tc.name)
		var got, endpoints []string
		for _, c := range x.Claims {
			line := fmt.Sprintf("%s %s/%s of %s on %s %s %v %s", c.Kind, c.Namespace, c.Name, c.Created.Format(time.RFC3339), c.Host, c.Accepted, c.Targets, c.Message)
			for _, p := range c.Parents {
				line += fmt.Sprintf(" {%s: %s}", p.Parent, p.Message)
				for _, l := range p.Listeners {
					line += fmt.Sprintf(" [%s %q %d: %s]", l.Name, l.Host, l.Port, l.Message)
				}
			}
			got = append(got, line)
		}
		for _, at := range x.Endpoints {
			endpoints = append(endpoints, fmt.Sprintf("%s %s %s %s %s %v", at.Service, at.Addr, at.Hostname, at.Node, at.State, at.Answered))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got claims\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
		if !slices.Equal(endpoints, tc.endpoints) {
			t.Errorf("%s: got endpoints\n%s\nwant\n%s", tc.name, strings.Join(endpoints, "\n"), strings.Join(tc.endpoints, "\n"))
		}
	}

	// An answer that none of several claims gives is counted.
	x := newCluster(t, minilb, web+strings.Replace(ingress("dev/i", "c.ex.org", ""), "[{}]", "[]", 1)+strings.Replace(ingress("dev/j", "c.ex.org", ""), "[{}]", "[]", 1)).explain(t, "c.ex.org")
	if want := "minilb has no such name and passes it on to the plugin that follows, such as forward. It is asked for by 2 objects, of which none counts: see why below."; x.Summary != want {
		t.Errorf("got %q, want %q", x.Summary, want)
	}
}

// What people read of each kind of answer, as it is printed.
func TestExplainText(t *testing.T) {
	all := web + gateway + route + accepted + ingress("shop/alias", "i.ex.org", "hostname: x.example")
	c := newCluster(t, ". {\n minilb minilb\n}", all)
	excluding := newCluster(t, ". {\n minilb minilb {\n  exclude_nodes vps\n }\n}", web+vps) // L6
	const columns = "Endpoints  10.244.1.7  answered  ready                 n1\n           10.244.1.8  left out  ready, excluded node  n2\n"
	var text strings.Builder
	if err := excluding.explain(t, "web.shop.minilb").Text(&text, false); err != nil || !strings.Contains(text.String(), columns) {
		t.Errorf("%v, got\n%swant in it\n%s", err, &text, columns)
	}
	for name, want := range map[string]string{
		"web.shop.minilb": `web.shop.minilb
It is answered with 2 IPv4 addresses and no IPv6 address.

Zone       in zone minilb, the name of Service shop/web
Notes      Service shop/web: port 80 → pods listen on 8080, and nothing
           translates it: clients must use 8080
Endpoints  10.244.1.7  answered  ready  n1
           10.244.1.8  answered  ready  n2
Answers    A     10.244.1.7 10.244.1.8
           AAAA  NODATA
`,
		"ns1.minilb": `ns1.minilb
It is answered with the DNS server's own addresses.

Zone       the name server of zone minilb
Notes      its addresses are those that the DNS server listens on, or those of
           the property ns: they are not known here
Answers    the DNS server's own addresses
`,
		"r.g.ex.org": `r.g.ex.org
It is answered with 2 IPv4 addresses and no IPv6 address.

Zone       in none of the zones: answered if an object claims it
Notes      Service shop/web: port 80 → pods listen on 8080, and nothing
           translates it: clients must use 8080
Claims     HTTPRoute shop/r, of 2026-03-03T00:00:00Z: answers
             leads to Service shop/web
             parentRef Gateway shop/gw: attached
               listener "http" (*.g.ex.org, port 80): serves it
               listener "admin" (admin.ex.org, port 81): its hostname and the
                 route's have nothing in common that is this name
Endpoints  10.244.1.7  answered  ready  n1
           10.244.1.8  answered  ready  n2
Answers    A     10.244.1.7 10.244.1.8
           AAAA  NODATA
`,
		"i.ex.org": `i.ex.org
It is an alias of x.example, which is not ours: the server looks that up and
gives its addresses.

Zone       in none of the zones: answered if an object claims it
Claims     Ingress shop/alias, of 2026-02-02T00:00:00Z: answers
             leads to host x.example
Answers    A     CNAME x.example and its addresses
           AAAA  the same
`,
		"_http._tcp.web.shop.minilb": `_http._tcp.web.shop.minilb
It is a named port: SRV answers with 2 targets.

Zone       in zone minilb, below the name of Service shop/web: that of an
           endpoint, a port, or a host claimed in that namespace
Endpoints  10.244.1.7  answered  ready  n1
           10.244.1.8  answered  ready  n2
Answers    SRV   8080 web-0.web.shop.minilb
           SRV   8080 web-1.web.shop.minilb
`,
		"x.minilb": `x.minilb
It does not exist: NXDOMAIN. No object asks for it.

Zone       in zone minilb, where namespace "x" has its Services' names below it
Notes      the API server does not serve GRPCRoute or TLSRoute: hosts of such
           routes cannot be found
Answers    NXDOMAIN for each type
`,
		"z.org": `z.org
minilb has no such name and passes it on to the plugin that follows, such as
forward. No object asks for it.

Zone       in none of the zones: answered if an object claims it
Notes      the API server does not serve GRPCRoute or TLSRoute: hosts of such
           routes cannot be found
Answers    none by minilb
`,
	} {
		for title, apart := range map[string]bool{"": false, "\n": true} {
			var text strings.Builder
			if err := c.explain(t, name).Text(&text, apart); err != nil || text.String() != title+want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, &text, title+want)
			}
		}
	}
}
