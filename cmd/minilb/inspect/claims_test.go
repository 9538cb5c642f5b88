package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// String returns a claimant in a line for each of its parents' listeners and one of its own.
func (c ClaimStatus) String() string {
	line := fmt.Sprintf("%s %s/%s %s", c.Kind, c.Namespace, c.Name, c.Host)
	if c.Accepted {
		line += " -> " + strings.Join(c.Targets, ", ")
	}
	if len(c.Services) > 0 {
		line += " (" + strings.Join(c.Services, ", ") + ")"
	}
	if c.Message != "" {
		line += ": " + c.Message
	}
	for _, p := range c.Parents {
		line += "\n  " + p.Parent
		if p.Message != "" {
			line += ": " + p.Message
		}
		for _, l := range p.Listeners {
			line += fmt.Sprintf("\n    %s %q %d", l.Name, l.Host, l.Port)
			if l.Message != "" {
				line += ": " + l.Message
			}
		}
	}
	return line
}

// expectClaims fails the test unless these are the objects that ask for a name.
func expectClaims(t *testing.T, i *DryRun, name string, want ...string) {
	t.Helper()
	var got []string
	for _, c := range i.Claims(name) {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// C2, M8, S6, M2: who asks for a name, those first that are answered, and why the others are not.
func TestClaims(t *testing.T) {
	t.Run("every kind", func(t *testing.T) {
		i := objectsOf(t, options(true), state(t)...)
		expectClaims(t, i, "web.ex.org.",
			`Service shop/web web.ex.org -> Service shop/web (shop/web): host "bad_host" in annotation minilb/host is refused: it is not a DNS name of letters, digits, hyphens and dots`,
			`Service shop/twice web.ex.org -> Service shop/twice (shop/twice)`,
			`Service shop/off web.ex.org: label minilb/ignore or k8s-gateway.dns/ignore makes it absent`,
			`Service shop/foreign web.ex.org: it is not of class "minilb": its spec.loadBalancerClass is "metallb"`,
			`Service shop/nobody web.ex.org: it is not of class "minilb": it has no spec.loadBalancerClass`,
			`Service late/web web.ex.org: host "web.ex.org" is refused: another namespace claimed it earlier`,
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: the name exists by itself`)
		expectClaims(t, i, "a.ex.org.",
			`Ingress shop/address a.ex.org -> address 10.9.9.9`,
			`Ingress shop/idle a.ex.org: host "a.ex.org" is not served: its status has no address yet; is its ingress controller running and publishing one?`,
			`Ingress shop/off a.ex.org: label minilb/ignore or k8s-gateway.dns/ignore makes it absent`,
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: the name exists by itself`)
		expectClaims(t, i, "s.ex.org.",
			`Ingress shop/service s.ex.org -> Service shop/web (shop/web)`,
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: the name exists by itself`)
		for _, name := range []string{"other.ex.org.", "*.ex.org."} {
			expectClaims(t, i, name,
				`Ingress shop/wild *.ex.org -> address 10.9.9.8: its hostname "lb.aws.com" is left out: a name that has addresses cannot be an alias`)
		}
		expectClaims(t, i, "twice.shop.minilb.",
			`Service shop/twice twice.shop.minilb -> Service shop/twice (shop/twice): it is the name of Service shop/twice anyway`)
		expectClaims(t, i, "nobody.org.")
	})
	t.Run("ingress_classes", func(t *testing.T) {
		o := options(false)
		o.IngressClasses = []string{"nginx"}
		i := objectsOf(t, o, state(t)...)
		expectClaims(t, i, "a.ex.org.",
			`Ingress shop/address a.ex.org: it has no class, and only those of ingress_classes count`,
			`Ingress shop/idle a.ex.org: it has no class, and only those of ingress_classes count`,
			`Ingress shop/off a.ex.org: label minilb/ignore or k8s-gateway.dns/ignore makes it absent`)
		expectClaims(t, i, "other.ex.org.",
			`Ingress shop/wild *.ex.org: it has no class, and only those of ingress_classes count`)
	})
}

// claimsCase is what is to be said of the objects that ask for a name.
type claimsCase struct {
	name    string
	change  func(*config.Options) // nil for none
	objects []runtime.Object
	asked   string
	want    []string
}

func (tc *claimsCase) run(t *testing.T) {
	o := options(true)
	if tc.change != nil {
		tc.change(&o)
	}
	expectClaims(t, objectsOf(t, o, tc.objects...), tc.asked, tc.want...)
}

// What is said of objects that ask for a name, each case for a reason of its own.
func TestClaimsReasons(t *testing.T) {
	ingress := func(name, host string, addresses ...networkingv1.IngressLoadBalancerIngress) runtime.Object {
		i := testIngress(name, host)
		i.Status.LoadBalancer.Ingress = addresses
		return i
	}
	custom := func(manifest string) runtime.Object {
		return customObject(t, "apiVersion: "+object.GatewayGroup+"/v1"+manifest)
	}
	gateway, route := custom(strings.Split(gatewayWith(open), "---")[1]), custom(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway))
	web, young := testService("shop/web", 0, ""), testService("shop/r", 0, "a.ex.org")
	young.CreationTimestamp = metav1.Time{} // as the others'
	const parent = "\n  Gateway infra/gw"
	for _, tc := range []claimsCase{
		{
			name:    "C2: routes come before Ingresses, and these before Services",
			objects: []runtime.Object{young, ingress("shop/r", "a.ex.org", networkingv1.IngressLoadBalancerIngress{IP: "10.9.9.9"}), gateway, custom(class), route},
			asked:   "a.ex.org.",
			want: []string{
				"HTTPRoute shop/r a.ex.org -> address 10.0.0.5" + parent + "\n    http \"\" 80",
				"Ingress shop/r a.ex.org -> address 10.9.9.9",
				"Service shop/r a.ex.org -> Service shop/r (shop/r)",
			},
		},
		{
			name:    "Services that are not read",
			change:  func(o *config.Options) { o.Services = false },
			objects: []runtime.Object{young},
			asked:   "a.ex.org.",
			want:    []string{"Service shop/r a.ex.org: Services are not among the resources that are read"},
		},
		{
			name:    "M6: a loop does not answer",
			objects: []runtime.Object{ingress("shop/a", "a.ex.org", networkingv1.IngressLoadBalancerIngress{Hostname: "b.ex.org"}), ingress("shop/b", "b.ex.org", networkingv1.IngressLoadBalancerIngress{Hostname: "a.ex.org"})},
			asked:   "a.ex.org.",
			want:    []string{`Ingress shop/a a.ex.org: host "a.ex.org" is not served: its address "b.ex.org" leads back to itself, or by way of more than 8 hosts`},
		},
		{
			name:    "I7: where it leads, each once and in order",
			objects: []runtime.Object{ingress("shop/a", "a.ex.org", networkingv1.IngressLoadBalancerIngress{IP: "10.9.9.9"}, networkingv1.IngressLoadBalancerIngress{IP: "10.9.9.8"}, networkingv1.IngressLoadBalancerIngress{IP: "10.9.9.9"})},
			asked:   "a.ex.org.",
			want:    []string{"Ingress shop/a a.ex.org -> address 10.9.9.8, address 10.9.9.9"},
		},
		{
			name:    "D17: the name of a Service is refused to others",
			objects: []runtime.Object{web, ingress("shop/a", "web.shop.minilb", networkingv1.IngressLoadBalancerIngress{IP: "10.9.9.9"})},
			asked:   "web.shop.minilb.",
			want:    []string{`Ingress shop/a web.shop.minilb: host "web.shop.minilb" is refused: it is the name of Service shop/web`},
		},
		{
			name:    "Gateways of other classes",
			change:  func(o *config.Options) { o.GatewayClasses = []string{"other"} },
			objects: []runtime.Object{gateway, custom(class), route},
			asked:   "a.ex.org.",
			want:    []string{"HTTPRoute shop/r a.ex.org: no listener that it is attached to serves this host" + parent + ": Gateway infra/gw is of GatewayClass \"gc\", which is not among gateway_classes"},
		},
	} {
		t.Run(tc.name, tc.run)
	}
}

// G10-G16, G20b, G30: what has become of a route at each of its parents, and at each of their listeners.
func TestClaimsRoutes(t *testing.T) {
	t.Run("ingress_classes", func(t *testing.T) {
		route := func(name, hosts string, parents ...string) runtime.Object {
			return customObject(t, strings.Replace(routeOf(object.KindHTTPRoute, hosts, parents...), "{name: r, namespace: shop}", name, 1))
		}
		open := strings.Replace(routeOf(object.KindHTTPRoute, "pending.org", toGateway), "True", "Unknown", 1)
		objects := append(state(t),
			route("{name: any, namespace: shop}", "", toGateway),
			route("{name: two, namespace: shop}", `two.org, "*.two.org"`, "{name: gw, namespace: infra, sectionName: http}", "{name: gw, namespace: infra, port: 443}", "{name: none, namespace: infra}", "{kind: Service, group: \"\", name: web}"),
			route("{name: hidden, namespace: shop, labels: {"+lb.IgnoreLabel+": \"true\"}}", "two.org", toGateway),
			route("{name: far, namespace: far}", "two.org", toGateway),
			customObject(t, strings.Replace(open, "name: r,", "name: pending,", 1)))
		i := objectsOf(t, options(true), objects...)
		expectClaims(t, i, "http.org.", `HTTPRoute shop/r http.org -> address 10.0.0.5
  Gateway infra/gw
    http "" 80
    tls "" 443: it takes no HTTPRoute`)
		expectClaims(t, i, "two.org.", `HTTPRoute shop/two two.org -> address 10.0.0.5
  Gateway infra/gw section "http"
    http "" 80
    tls "" 443: the parentRef asks for another sectionName or port
  Gateway infra/gw port 443: listener "tls" of Gateway infra/gw takes no HTTPRoute
    http "" 80: the parentRef asks for another sectionName or port
    tls "" 443: it takes no HTTPRoute
  Gateway infra/none: Gateway infra/none does not exist
  /Service shop/web: it is no Gateway or ListenerSet`,
			`HTTPRoute far/far two.org: host "two.org" is not served: listener "http" of Gateway infra/gw allows no routes of namespace "far"
  Gateway infra/gw: listener "http" of Gateway infra/gw allows no routes of namespace "far"
    http "" 80: it allows no routes of namespace "far"
    tls "" 443: it takes no HTTPRoute`,
			`HTTPRoute shop/hidden two.org: label minilb/ignore or k8s-gateway.dns/ignore makes it absent
  Gateway infra/gw
    http "" 80
    tls "" 443: it takes no HTTPRoute`)
		expectClaims(t, i, "x.two.org.", `HTTPRoute shop/two *.two.org -> address 10.0.0.5
  Gateway infra/gw section "http"
    http "" 80
    tls "" 443: the parentRef asks for another sectionName or port
  Gateway infra/gw port 443: listener "tls" of Gateway infra/gw takes no HTTPRoute
    http "" 80: the parentRef asks for another sectionName or port
    tls "" 443: it takes no HTTPRoute
  Gateway infra/none: Gateway infra/none does not exist
  /Service shop/web: it is no Gateway or ListenerSet`)
		expectClaims(t, i, "tls.org.", `TLSRoute shop/r tls.org -> address 10.0.0.5
  Gateway infra/gw
    http "" 80: it takes no TLSRoute
    tls "" 443`)
		expectClaims(t, i, "pending.org.", `HTTPRoute shop/pending pending.org: host "pending.org" is not served: the controller of Gateway infra/gw has not decided on it yet (condition Accepted is Unknown)
  Gateway infra/gw: the controller of Gateway infra/gw has not decided on it yet (condition Accepted is Unknown)
    http "" 80
    tls "" 443: it takes no HTTPRoute`)
	})
}

// D16: what a name is by the structure of the zones.
func TestServiceAt(t *testing.T) {
	o := options(false)
	o.Zones, o.ReverseZones = []string{"minilb.", "lan.minilb."}, []string{"244.10.in-addr.arpa."}
	i := objectsOf(t, o)
	for name, want := range map[string][2]string{
		"web.shop.minilb.":            {"shop", "web"},
		"db-0.web.shop.minilb.":       {"shop", "web"},
		"web.shop.lan.minilb.":        {"shop", "web"},
		"shop.minilb.":                {"", ""},
		"minilb.":                     {"", ""},
		"web.ex.org.":                 {"", ""},
		"7.1.244.10.in-addr.arpa.":    {"", ""},
		"244.10.in-addr.arpa.":        {"", ""},
		"7.1.x244.10.in-addr.arpa.":   {"", ""},
		"_http._tcp.web.shop.minilb.": {"shop", "web"},
	} {
		if namespace, service := i.ServiceAt(name); [2]string{namespace, service} != want {
			t.Errorf("%s: got %q, %q, want %q", name, namespace, service, want)
		}
	}
	i.Options.Services = false
	if namespace, service := i.ServiceAt("web.shop.minilb."); namespace != "" || service != "" {
		t.Errorf("without Services: got %q, %q", namespace, service)
	}
}
