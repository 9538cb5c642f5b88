package translator

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/miekg/dns"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// wellFormed is what a host is by its characters, a final dot left out.
var wellFormed = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)

// isHost says by RFC 1035 §2.3 and no code of ours whether text is a host that may be claimed.
func isHost(text string) bool {
	text = strings.TrimSuffix(text, ".")
	_, err := netip.ParseAddr(strings.TrimPrefix(text, "*."))
	if last := text[strings.LastIndex(text, ".")+1:]; strings.Trim(last, "0123456789") == "" {
		return false
	}
	return wellFormed.MatchString(text) && err != nil && len(text) <= 253 && strings.Count(text, ".") < hostname.MaxLabels
}

// checkHost checks that text is refused in one line, or becomes a name that DNS can carry, and
// returns it (I10, G32, D33).
func checkHost(t *testing.T, text string) (string, bool) {
	host, err := hostname.Parse(text)
	if (err == nil) != isHost(text) {
		t.Fatalf("%q: got %q, %v", text, host, err)
	}
	if err != nil {
		checkLine(t, err.Error())
		return "", false
	}
	if again, err := hostname.Parse(host); err != nil || again != host {
		t.Errorf("%q: got %q, and of that %q, %v", text, host, again, err)
	}
	if labels, ok := dns.IsDomainName(host); !ok || labels > hostname.MaxLabels || len(host) > 254 || !dns.IsFqdn(host) || dns.CanonicalName(host) != host || strings.LastIndex(host, "*") > 0 {
		t.Errorf("%q: got %q, which is no canonical name of a host", text, host)
	}
	wire, err := new(dns.Msg).SetQuestion(host, dns.TypeA).Pack()
	var back dns.Msg
	if err != nil || back.Unpack(wire) != nil || back.Question[0].Name != host {
		t.Errorf("%q: got %q, which becomes %v in a message, %v", text, host, back.Question, err)
	}
	return host, true
}

// checkLine checks that a line of the log is one, however it came about.
func checkLine(t *testing.T, line string) {
	if len(line) > 1000 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("got the line %q", line)
	}
}

// FuzzHosts lets whatever text stand where people and controllers write names: in a Service's
// annotation, the rules of an Ingress and the hostnames of a route, and where they say what is
// behind it. What is a host is answered; what is not is counted, and logged once with its object.
func FuzzHosts(f *testing.F) {
	long := strings.Repeat("a", 63)
	for _, text := range []string{
		"", " , ", "a.ex.org", "*.EX.org.", "a.ex.org\n[ERROR] plugin/minilb: forged", "a\x1b[2J.org, b.ex.org", "\u212aelvin.org", "\u0130.org",
		"web.shop.minilb", "x.shop.minilb,y.other.minilb", "*.minilb", "ns1.minilb", "minilb", "*", "*.*.org", "a.*.org", "10.0.0.1", "*.::1", "1.2.3",
		long + ".org," + long + "a.org", strings.Repeat(long+".", 4), strings.Repeat("a.", 40), "bücher.example", `a\.b.org`, "\xff\xfe", "shop/web", "/", "a/b/c",
		"a.ex.org\nb.ex.org c", "nas, localhost", `["a.ex.org", "b"]`, "https://a.ex.org:80/x;# y", "{{ a b }}.org", "<a>, 'b c'",
		"web.shop.svc.cluster.local", strings.Repeat("_,", 2000), "\u2028\u202egro.xe", "_tcp.org", "-a.org", "a-.org", "a.org.", "a.org..", "%s%n.org",
	} {
		f.Add(text, "a.ex.org", "10.0.0.9", "web")
		f.Add("b.ex.org", text, "lb.example.com", text)
		f.Add("b.ex.org", "*.w.ex.org", text, "shop/web")
	}
	f.Fuzz(func(t *testing.T, annotation, host, address, reference string) {
		b := newAttachedBench(t, config.Options{})
		b.services().Update(testService("shop/web", 1, annotation))
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
		rules := testIngress("shop/rules", host)
		rules.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
		status := testIngress("shop/status", "status.example")
		status.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address}, {Hostname: address}}
		refers := testIngress("shop/refers", "refers.example")
		refers.Annotations = map[string]string{lb.ServiceAnnotation: reference}
		for _, i := range []*networkingv1.Ingress{rules, status, refers} {
			b.watcher.Ingresses("").Update(i)
		}
		gateway := customObject(t, gatewayWith(open)[len(class):])
		unstructured.SetNestedSlice(gateway.Object, []any{map[string]any{"value": "10.0.0.2"}}, "status", "addresses")
		gatewayClass := customObject(t, strings.TrimSuffix(strings.TrimSpace(class), "---"))
		deliver(b, object.KindName{Kind: object.KindGatewayClass}, nil, gatewayClass, object.NewGatewayClass, queueObject[*object.GatewayClass](b.claims))
		deliver(b, object.KindName{Kind: object.KindGateway}, nil, gateway, object.NewGateway, b.tr.onGateway)
		for name, section := range map[string]string{"r": "", "s": reference} {
			r := customObject(t, strings.TrimSuffix(strings.TrimSpace(routeOf(object.KindHTTPRoute, "", toGateway)), "---"))
			r.SetName(name)
			hostname := host
			if name == "s" {
				hostname = "section.example"
			}
			unstructured.SetNestedStringSlice(r.Object, []string{hostname}, "spec", "hostnames")
			unstructured.SetNestedSlice(r.Object, []any{map[string]any{"name": "gw", "namespace": "infra", "sectionName": section}}, "spec", "parentRefs")
			deliver(b, object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: name}, nil, r, object.NewRoute(object.KindHTTPRoute), queueObject[*object.Route](b.claims))
		}
		lines := b.publish()

		owners := map[string]int{} // the lines about each
		for i, line := range lines {
			checkLine(t, line)
			if slices.Contains(lines[:i], line) {
				t.Errorf("%q is logged twice", line)
			}
			for _, owner := range []string{"Service shop/web", "Ingress shop/rules", "Ingress shop/status", "Ingress shop/refers", "HTTPRoute shop/r", "HTTPRoute shop/s"} {
				if strings.HasPrefix(line[2:], owner+": ") {
					owners[owner]++
				}
			}
		}
		if again := b.publish(); len(again) > 0 {
			t.Errorf("logged again: %q", again)
		}
		total := 0
		for owner, n := range owners {
			if total += n; n > object.MaxLines+1 {
				t.Errorf("%d lines are about %s", n, owner)
			}
		}
		if total != len(lines) {
			t.Errorf("not all of these say whom they are about: %q", lines)
		}

		refused := 0
		expect := func(owner, text, want string) { // of a host that leads to want
			name, ok := checkHost(t, text)
			switch {
			case owner == "Service shop/web" && !strings.Contains(text, "."):
				if owners[owner] == 0 { // relative, reserved or none
					t.Errorf("%q: no line says what becomes of it: %q", text, lines)
				}
			case !ok:
				refused++
				if owners[owner] == 0 {
					t.Errorf("%q: no line says why %s may not have it: %q", text, owner, lines)
				}
			case dns.IsSubDomain("minilb.", name):
				if b.addrs(name) == "-" && owners[owner] == 0 { // D17
					t.Errorf("%q: neither answered nor refused", name)
				}
			default:
				got := strings.Fields(b.addrs(name))
				for _, addr := range strings.Fields(want) {
					if !slices.Contains(got, addr) {
						t.Errorf("%s: got %q, want %q among them", name, got, addr)
					}
				}
			}
		}
		items := slices.Collect(hostname.Split(annotation))
		for _, item := range items[:min(len(items), object.MaxHosts)] {
			expect("Service shop/web", item, "10.0.0.1")
		}
		if len(items) > object.MaxHosts {
			refused++
		}
		if host != "" {
			expect("Ingress shop/rules", host, "10.0.0.1")
			expect("HTTPRoute shop/r", host, "10.0.0.2")
		}
		if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got < refused {
			t.Errorf("%d are counted as invalid, want %d at least: %q", got, refused, lines)
		}
	})
}
