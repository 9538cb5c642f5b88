package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// attachedBench feeds a Translator objects of the Gateway API as its tables would.
type attachedBench struct {
	*bench
	t       *testing.T
	current map[object.KindName]any // reduced
}

func newAttachedBench(t *testing.T, options config.Options) *attachedBench {
	options.Gateways = true
	b := &attachedBench{bench: newBench(t, options), t: t, current: map[object.KindName]any{}}
	b.sync()
	for _, h := range b.tr.optional { // all kinds are served
		h.Set(informer.Listed)
	}
	return b
}

// set lets an object appear, change or, without a manifest, go.
func (b *attachedBench) set(name object.KindName, manifest string) {
	b.t.Helper()
	old := b.current[name]
	delete(b.current, name)
	var obj *unstructured.Unstructured
	if manifest != "" {
		obj = customObject(b.t, manifest)
	}
	switch name.Kind {
	case object.KindGateway:
		deliver(b, name, old, obj, object.NewGateway, b.tr.onGateway)
	case object.KindGatewayClass:
		deliver(b, name, old, obj, object.NewGatewayClass, queueObject[*object.GatewayClass](b.claims))
	case object.KindListenerSet:
		deliver(b, name, old, obj, object.NewListenerSet(name.Kind), queueObject[*object.ListenerSet](b.claims))
	case object.KindHTTPRoute, object.KindTLSRoute:
		deliver(b, name, old, obj, object.NewRoute(name.Kind), queueObject[*object.Route](b.claims))
	case "Namespace":
		deliver(b, name, old, obj, func(obj *unstructured.Unstructured, _ *object.Fields) *object.Namespace {
			return object.NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: obj.GetName(), Labels: obj.GetLabels()}}, nil)
		}, queueObject[*object.Namespace](b.claims))
	}
}

func deliver[T any](b *attachedBench, name object.KindName, old any, obj *unstructured.Unstructured, reduce func(*unstructured.Unstructured, *object.Fields) *T, tell func(old, new *T)) {
	before, _ := old.(*T)
	var now *T
	if obj != nil {
		now = reduce(obj, nil)
		b.current[name] = now
	}
	tell(before, now)
}

// claimed returns what routes claim, a line each.
func claimed(routes *gateway.Routes, names []object.KindName) []string {
	var lines []string
	for _, name := range names {
		for _, c := range routes.Claims(name) {
			lines = append(lines, fmt.Sprint(name, c.Hosts, c.List, c.Missing))
		}
	}
	slices.Sort(lines)
	return lines
}

// C5: what is judged anew after each change is all that the change concerns: the claims are
// those that the present objects give from scratch, whichever way they came about.
func TestAttachedFromScratch(t *testing.T) {
	random := seeded(t)
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	from := func() string {
		return one("{from: All}", "{from: Same}", "{from: None}", "{from: Selector, selector: {matchLabels: {team: a}}}", "{}")
	}
	listener := func() string {
		return fmt.Sprintf(`{name: %s, port: %s, protocol: %s, hostname: %q, allowedRoutes: {namespaces: %s}}`,
			one("l", "m"), one("80", "81"), one("HTTP", "HTTP", "HTTPS", "TLS"), one("", "*.a.org", "x.a.org", "*.org"), from())
	}
	condition := func() string {
		return fmt.Sprintf(`conditions: [{type: Accepted, status: %q}]`, one("True", "True", "True", "False", "Unknown"))
	}
	ref := func() string {
		return fmt.Sprintf(`{kind: %s, name: %s, namespace: %s, sectionName: %q}`, one("Gateway", "ListenerSet"), one("x", "y"), one("a", "b", "c"), one("", "", "l"))
	}
	metadata := func(n object.KindName) string {
		return fmt.Sprintf("metadata: {name: %s, namespace: %q, creationTimestamp: %q, labels: {team: %s, minilb/ignore: %q}, annotations: {%s}}",
			n.Name, n.Namespace, one("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"), one("a", "b"), one("", "", "", "", "true"), one("", "", "minilb/service: web"))
	}
	manifest := func(n object.KindName) string {
		switch n.Kind {
		case object.KindGateway:
			return fmt.Sprintf("%s\nspec: {gatewayClassName: %s, defaultScope: %s, allowedListeners: {namespaces: %s}, listeners: [%s, %s]}\nstatus: {addresses: [{value: %s}]}\n",
				metadata(n), one("one", "two"), one("All", "None"), from(), listener(), listener(), one("10.0.0.1", "10.0.0.2"))
		case object.KindGatewayClass:
			return fmt.Sprintf("%s\nspec: {controllerName: %s}\n", metadata(n), one("c/1", "c/2"))
		case object.KindListenerSet:
			return fmt.Sprintf("%s\nspec: {parentRef: {name: %s, namespace: %s}, listeners: [%s]}\nstatus: {%s, listeners: [{name: l, %s}]}\n",
				metadata(n), one("x", "y"), one("a", "b"), listener(), condition(), condition())
		case "Namespace":
			return metadata(n)
		}
		ref := ref()
		return fmt.Sprintf("%s\nspec: {hostnames: [%s], parentRefs: [%s], useDefaultGateways: %s}\nstatus: {parents: [{parentRef: %s, controllerName: %s, %s}, {parentRef: {name: x, namespace: a}, controllerName: c/1, %s}]}\n",
			metadata(n), one("", "x.a.org", "x.a.org, '*.org'", "y.org"), ref, one("", "", "All"), ref, one("c/1", "c/2"), condition(), condition())
	}
	var names []object.KindName
	for _, kind := range []string{object.KindGateway, object.KindListenerSet, object.KindHTTPRoute, object.KindHTTPRoute, object.KindTLSRoute} {
		for _, namespace := range []string{"a", "b", "c"} {
			for _, name := range []string{"x", "y"} {
				names = append(names, object.KindName{Kind: kind, Namespace: namespace, Name: name})
			}
		}
	}
	for _, name := range []string{"one", "two"} {
		names = append(names, object.KindName{Kind: object.KindGatewayClass, Namespace: "", Name: name})
	}
	for _, name := range []string{"a", "b", "c", "a", "b", "c"} {
		names = append(names, object.KindName{Kind: "Namespace", Namespace: "", Name: name})
	}
	attached := 0
	for _, options := range []config.Options{{}, {IgnoreAccepted: true}, {GatewayClasses: []string{"one"}}} {
		b := newAttachedBench(t, options)
		for step := range 4000 {
			name, text := names[random.IntN(len(names))], ""
			if random.IntN(5) > 0 {
				text = manifest(name)
			}
			b.set(name, text)
			if random.IntN(3) == 0 {
				continue // changes that coalesce
			}
			b.publish()
			fresh := gateway.New(b.tr.options)
			for _, obj := range b.current {
				fresh.Set(obj.(gateway.Object))
			}
			fresh.Recompute(nil, func(string, string) bool { return false })
			got, want := claimed(b.tr.routes, names), claimed(fresh, names)
			if !slices.Equal(got, want) {
				t.Fatalf("step %d, %v, after %s\n%s\ngot\n%s\nwant\n%s", step, options, name, text, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			attached += len(want)
		}
	}
	if attached < 10_000 {
		t.Errorf("only %d claims were compared", attached)
	}
}

// A change that no name depends on is not published.
func TestAttachedUnchanged(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	parts := strings.Split(gatewayWith(open), "---")
	gateway, route := object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}
	b.set(object.KindName{Kind: object.KindGatewayClass, Namespace: "", Name: "gc"}, parts[0])
	b.set(gateway, parts[1])
	b.set(route, routeOf(object.KindHTTPRoute, "a.ex.org", toGateway))
	b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: "shop"}, "metadata: {name: shop}")
	b.pending()
	b.publish()
	b.want("a.ex.org.", "10.0.0.5")
	b.set(gateway, strings.Replace(parts[1], "status: {", "status: {listeners: [{name: http, attachedRoutes: 7, conditions: [{type: Programmed, status: 'False'}]}], ", 1))
	b.set(route, strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "spec: {", "spec: {rules: [{}], ", 1))
	b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: "shop"}, "metadata: {name: shop, annotations: {a: b}}")
	if b.pending() {
		t.Error("it is to be published")
	}
}

// M8: an object that is to be ignored is absent, whatever its kind.
func TestAttachedIgnored(t *testing.T) {
	parts := strings.Split(gatewayWith(strings.Replace(letsIn, "from: All", "from: Selector, selector: {}", 2)), "---")
	objects := map[object.KindName]string{
		{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}:     parts[1],
		{Kind: object.KindListenerSet, Namespace: "shop", Name: "set"}: theSet,
		{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}:     strings.Replace(routeOf(object.KindHTTPRoute, "a.set.org", toSet), "example.org/ctl", "example.org/any", 1),
		{Kind: "Namespace", Namespace: "", Name: "shop"}:               "metadata: {name: shop}",
		{Kind: object.KindGatewayClass, Namespace: "", Name: "gc"}:     strings.Replace(parts[0], "{name: gc}", `{name: gc, labels: {minilb/ignore: "true"}}`, 1), // or it would not do
	}
	b := newAttachedBench(t, config.Options{})
	for name, manifest := range objects {
		b.set(name, manifest)
	}
	b.publish()
	b.want("a.set.org.", "10.0.0.5")
	for name, manifest := range objects {
		if name.Kind == object.KindGatewayClass {
			b.set(name, parts[0])
		} else {
			b.set(name, strings.Replace(manifest, "metadata: {", `metadata: {labels: {minilb/ignore: "true"}, `, 1))
		}
		b.publish()
		b.want("a.set.org.", "-")
		b.set(name, manifest)
		b.publish()
		b.want("a.set.org.", "10.0.0.5")
	}
}

// What of a Gateway cannot be used is told once, as the Gateway's, however many routes it has;
// a Gateway that does not count is not spoken of.
func TestAttachedProblems(t *testing.T) {
	for _, options := range []config.Options{{}, {GatewayClasses: []string{"other"}}} {
		b := newAttachedBench(t, options)
		parts := strings.Split(gatewayWith(open), "---")
		b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Replace(parts[1], "10.0.0.5}", "10.0.0.5}, {value: 127.0.0.1}", 1))
		for _, name := range []string{"r", "s"} {
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: name}, strings.Replace(routeOf(object.KindHTTPRoute, name+".org", toGateway), "name: r,", "name: "+name+",", 1))
		}
		b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "bad"}, "metadata: {name: bad, namespace: shop}\nspec: {hostnames: 5}")
		b.set(object.KindName{Kind: object.KindListenerSet, Namespace: "shop", Name: "bad"}, "metadata: {name: bad, namespace: shop}\nspec: 5")
		b.set(object.KindName{Kind: object.KindGatewayClass, Namespace: "", Name: "bad"}, "metadata: {name: bad}\nspec: 5")
		b.set(object.KindName{Kind: object.KindGateway, Namespace: "shop", Name: "bad"}, "metadata: {name: bad, namespace: shop}\nspec: 5")
		want := []string{
			"W Gateway shop/bad: it is not as its kind should be and is left out: there is a number in spec",
			"W GatewayClass bad: it is not as its kind should be and is left out: there is a number in spec",
			"W HTTPRoute shop/bad: it is not as its kind should be and is left out: there is a number in spec.hostnames",
			"W ListenerSet shop/bad: it is not as its kind should be and is left out: there is a number in spec",
		}
		if options.GatewayClasses == nil {
			want = slices.Insert(want, 0, `W Gateway infra/gw: status address "127.0.0.1" is not an IP address that can be answered with`)
		}
		if got := b.publish(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got != len(want) {
			t.Errorf("counted %d, want %d", got, len(want))
		}
		if got := b.publish(); got != nil {
			t.Errorf("told again: %q", got)
		}
	}
}

// C3: claims of all kinds in the winner's namespace are united; those of others do not count.
func TestAttachedWithOthers(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	parts := strings.Split(gatewayWith(open), "---")
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, parts[1])
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "a.ex.org", toGateway))
	i := testIngress("shop/i", "a.ex.org")
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.9"}}
	b.watcher.Ingresses("").Add(i)
	evil := testIngress("evil/i", "a.ex.org")
	evil.CreationTimestamp = metav1.Unix(100, 0)
	evil.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "6.6.6.6"}}
	b.watcher.Ingresses("").Add(evil)
	b.publish()
	b.want("a.ex.org.", "10.0.0.5 10.0.0.9")
}

// Why a route is not served is said in few lines of bounded length, whatever it refers to and
// however many hosts it has; all of them are counted.
func TestAttachedLines(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	parts := strings.Split(gatewayWith(open), "---")
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, parts[1])
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "bad"}, "metadata: {name: bad, namespace: infra}\nspec: {listeners: 5}")
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "none"}, "metadata: {name: none, namespace: infra}\nspec: {listeners: []}")
	b.publish()
	route := object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}
	var hosts, parents []string
	for i := range 1000 {
		hosts = append(hosts, fmt.Sprintf("h%d.org", i))
	}
	for i := range 32 {
		parents = append(parents, fmt.Sprintf("{name: %s%d}", strings.Repeat("x", 200), i))
	}
	long := strings.Repeat("x", 200)
	for _, tc := range []struct {
		manifest string
		dead     int
		want     []string // what the lines begin with
	}{
		{fmt.Sprintf("{metadata: {name: r, namespace: shop}, spec: {hostnames: [%s], parentRefs: [%s]}}", strings.Join(hosts, ","), strings.Join(parents, ",")), 1000, []string{
			`I HTTPRoute shop/r: host "h0.org" is not served: Gateway shop/`, `I HTTPRoute shop/r: host "h1.org" is`, `I HTTPRoute shop/r: host "h2.org" is`, `I HTTPRoute shop/r: host "h3.org" is`,
			`I HTTPRoute shop/r: 996 more hosts are not served: Gateway shop/` + long + "0 does not exist; ",
		}},
		{`{metadata: {name: r, namespace: shop}, spec: {hostnames: [a.org], parentRefs: [{name: "x\n[ERROR] plugin/minilb: forged"}]}}`, 1, []string{
			`I HTTPRoute shop/r: host "a.org" is not served: Gateway "shop/x\n[ERROR] plugin/minilb: forged" does not exist`,
		}},
		{strings.Replace(routeOf(object.KindHTTPRoute, "a.org", toGateway), "namespace: shop}", `namespace: shop, annotations: {minilb/service: "x\n[ERROR] forged`+strings.Repeat("z", 200_000)+`"}}`, 1), 1, []string{
			`I HTTPRoute shop/r: host "a.org" is not served: HTTPRoute shop/r: annotation minilb/service is "x\n[ERROR] forgedzzz`,
		}},
		{routeOf(object.KindHTTPRoute, "a.org", "{name: bad, namespace: infra}"), 1, []string{`I HTTPRoute shop/r: host "a.org" is not served: Gateway infra/bad is not as its kind should be`}},
		{routeOf(object.KindHTTPRoute, "a.org", "{name: none, namespace: infra}"), 1, []string{`I HTTPRoute shop/r: host "a.org" is not served: Gateway infra/none has no listeners`}},
		{routeOf(object.KindHTTPRoute, "", "{name: none, namespace: infra}"), 1, []string{`I HTTPRoute shop/r: it is not served: Gateway infra/none has no listeners`}},
		{routeOf(object.KindHTTPRoute, "", toGateway), 0, nil}, // it takes any host, of which there is no name
	} {
		b.set(route, tc.manifest)
		lines := b.publish()
		if !slices.EqualFunc(lines, tc.want, strings.HasPrefix) {
			t.Errorf("got %q\nwant %q", lines, tc.want)
		}
		for _, line := range lines {
			if strings.Contains(line, "\n") || len(line) > 1000 {
				t.Errorf("a line of %d bytes: %.200q", len(line), line)
			}
		}
		if got := b.tr.Stats().Rejected[string(object.ReasonNoTarget)]; got != tc.dead {
			t.Errorf("counted %d, want %d", got, tc.dead)
		}
	}
}

// G16, G53: the labels of one ListenerSet's namespace decide on another's.
func TestAttachedOtherSets(t *testing.T) {
	b := newAttachedBench(t, config.Options{IgnoreAccepted: true})
	parts := strings.Split(gatewayWith(strings.Replace(letsIn, "{from: All}", "{from: Selector, selector: {matchLabels: {in: 'y'}}}", 1)), "---")
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, parts[1])
	for namespace, created := range map[string]string{"old": "2026-05-01T00:00:00Z", "young": "2026-06-01T00:00:00Z"} {
		b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: namespace}, fmt.Sprintf("metadata: {name: %s, labels: {in: 'y'}}", namespace))
		b.set(object.KindName{Kind: object.KindListenerSet, Namespace: namespace, Name: "set"}, fmt.Sprintf("metadata: {name: set, namespace: %s, creationTimestamp: %q}\n"+
			"spec: {parentRef: {name: gw, namespace: infra}, listeners: [{name: l, port: 81, protocol: HTTP, hostname: a.org}]}", namespace, created))
	}
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "young", Name: "r"}, "metadata: {name: r, namespace: young}\nspec: {hostnames: [a.org], parentRefs: [{kind: ListenerSet, name: set}]}")
	b.publish()
	b.want("a.org.", "-")
	b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: "old"}, "metadata: {name: old, labels: {in: 'n'}}")
	b.publish()
	b.want("a.org.", "10.0.0.5")
	b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: "old"}, "metadata: {name: old, labels: {in: 'y'}}")
	b.publish()
	b.want("a.org.", "-")
}
