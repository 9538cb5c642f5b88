package translator

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// padded is a value of an annotation that begins with text and is as long as the API server lets it be.
func padded(text, with string) string {
	return text + strings.Repeat(with, (255_000-len(text))/len(with))
}

// C7c: however large objects are, what is kept of one is a fraction of it, and of what nobody serves it is next to nothing.
func TestKeptMemory(t *testing.T) {
	const count, small = 20, 2 << 10
	foreign, ours := "metallb", lb.DefaultClass
	annotated := func(class *string, name, value string) any {
		s := testService("shop/web", 1, "")
		s.Spec.Ports = []corev1.ServicePort{{Port: 443}}
		s.Spec.LoadBalancerClass, s.Annotations = class, map[string]string{name: value}
		return s
	}
	manifest := func(text string) *unstructured.Unstructured {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
			t.Fatal(err)
		}
		return obj
	}
	custom := func(kind, fields string) any {
		return manifest("{kind: " + kind + ", metadata: {name: r, namespace: shop, annotations: {minilb/service: '" + padded("web", " ") + "'}}, " + fields + "}")
	}
	for name, tc := range map[string]struct {
		make func() any
		most int // bytes kept of one
	}{
		"hosts of another class's": {func() any { return annotated(&foreign, lb.HostAnnotation, padded("", "a.org,")) }, small},
		"hosts of no class's":      {func() any { return annotated(nil, lb.HostAnnotation, padded("", "a.org,")) }, small},
		"protocols of another's":   {func() any { return annotated(&foreign, lb.ALPNAnnotation, padded("h2", ",")) }, small},
		"hosts":                    {func() any { return annotated(&ours, lb.HostAnnotation, padded("", "a.org,")) }, object.MaxHostText + small},
		"white space":              {func() any { return annotated(&ours, lb.HostAnnotation, padded("a.org", " ")) }, small},
		"protocols":                {func() any { return annotated(&ours, lb.ALPNAnnotation, padded("h2", ",")) }, small},
		"an Ingress": {func() any {
			i := testIngress("shop/i", "a.org")
			i.Annotations = map[string]string{lb.ServiceAnnotation: padded("web", " "), object.ClassAnnotation: padded("nginx", "x")}
			return i
		}, small},
		"an Ingress with hosts": {func() any {
			i := testIngress("shop/i")
			for n := range 5000 {
				i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: fmt.Sprintf("%s%d.org", strings.Repeat("l.", 100), n)})
			}
			return i
		}, 2*object.MaxHostText + small},
		"a route":       {func() any { return custom("HTTPRoute", "spec: {hostnames: [a.org], parentRefs: [{name: gw}]}") }, small},
		"a Gateway":     {func() any { return custom("Gateway", "spec: {listeners: [{name: http, protocol: HTTP}]}") }, small},
		"a ListenerSet": {func() any { return custom("ListenerSet", "spec: {parentRef: {name: gw}}") }, small},
		"a Gateway with a selector": {func() any {
			return manifest("{metadata: {name: gw, namespace: shop}, spec: {listeners: [{name: http, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In, values: [" +
				padded("", "namespace,") + "last]}]}}}}]}}")
		}, small},
		"a Namespace": {func() any {
			n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{}}}
			for i := range 5000 {
				n.Labels[fmt.Sprintf("%s/%d", strings.Repeat("l", 40), i)] = "x"
			}
			return n
		}, small},
		"a slice": {func() any {
			s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
			for range 1000 {
				s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"64:ff9b::7f00:1"}})
			}
			return s
		}, 10 * small},
	} {
		fields := &object.Fields{Classes: []string{lb.DefaultClass}, HostAnnotations: []string{lb.HostAnnotation}, HTTPS: true}
		reduce := func(full any) any {
			switch full := full.(type) {
			case *corev1.Service:
				return object.NewService(full, fields)
			case *networkingv1.Ingress:
				return object.NewIngress(full, nil)
			case *corev1.Namespace:
				return object.NewNamespace(full, nil)
			case *discoveryv1.EndpointSlice:
				return object.NewEndpointSlice(full, fields)
			}
			switch full := full.(*unstructured.Unstructured); full.GetKind() {
			case object.KindHTTPRoute:
				return object.NewRoute(object.KindHTTPRoute)(full, nil)
			case object.KindListenerSet:
				return object.NewListenerSet(object.KindListenerSet)(full, nil)
			default:
				return object.NewGateway(full, nil)
			}
		}
		var kept []any
		before := heap()
		for range count {
			kept = append(kept, reduce(tc.make()))
		}
		if each := (heap() - before) / count; each > tc.most {
			t.Errorf("%s: %d bytes are kept of one, want %d at most", name, each, tc.most)
		}
		runtime.KeepAlive(kept)
	}
}

// heap returns how many bytes are in use.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what is interned goes with the second
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// C7c: what is more than is kept costs the item alone, and is said once and counted.
func TestKeptItems(t *testing.T) {
	b := newBench(t, config.Options{HostAnnotations: []string{lb.HostAnnotation, "z/more"}, HTTPS: true})
	b.sync()
	long := testService("shop/long", 1, "first.org,"+padded("", "other.org "))
	long.Annotations["z/more"] = "never.org, read.org"
	b.services().Update(long)
	b.services().Update(testService("shop/flawed", 2, padded("good.org,", "a_b,")))
	spoken := testService("shop/spoken", 3, "spoken.org")
	spoken.Spec.Ports = []corev1.ServicePort{{Port: 443}}
	spoken.Annotations[lb.ALPNAnnotation] = padded("h2", ",")
	b.services().Update(spoken)
	i := testIngress("shop/i", "i.org")
	i.Annotations = map[string]string{lb.ServiceAnnotation: padded("spoken", " ")}
	b.watcher.Ingresses("").Update(i)
	lines := strings.Join(b.publish(), "\n")
	for _, want := range []string{
		`W Service shop/long: 24477 hosts in annotation minilb/host are refused: an object may have 1024, of 64 KiB in all`,
		`W Service shop/long: 2 hosts in annotation z/more are refused: an object may have`,
		`W Service shop/flawed: host "a_b" in annotation minilb/host is refused:`,
		`W Service shop/spoken: in annotation minilb/alpn, all protocols are refused: they have 255000 bytes, at most 256 are read`,
		`I Ingress shop/i: host "i.org" is not served: annotation minilb/service is "spoken   `,
	} {
		if strings.Count(lines, want) != 1 {
			t.Errorf("%q is not said once in\n%s", want, lines)
		}
	}
	b.services().Update(testService("shop/late", 4, "late.org"))
	if lines := b.publish(); len(lines) > 0 {
		t.Errorf("it is said again: %q", lines)
	}
	if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got < 5 {
		t.Errorf("%d refusals are counted", got)
	}
	for name, want := range map[string]string{"first.org.": "", "other.org.": "", "never.org.": "-", "good.org.": "", "spoken.org.": "", "i.org.": "-", "late.org.": ""} {
		b.want(name, want)
	}
}

// C7c: a listener whose selector, or a Namespace whose labels are too long selects nothing and is not selected: what is
// cut off might be what keeps somebody out.
func TestKeptSelection(t *testing.T) {
	large := map[string]string{}
	for i := range 5000 {
		large[fmt.Sprintf("label%d", i)] = "value-of-some-length"
	}
	labelled := func(name string) (labels.Set, bool) {
		ns := map[string]*object.Namespace{
			"plain": object.NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}}, nil),
			"large": object.NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "large", Labels: large}}, nil),
		}[name]
		return ns.Labels, ns.Labels != nil
	}
	except := metav1.LabelSelectorRequirement{Key: "label1", Operator: metav1.LabelSelectorOpDoesNotExist}
	many := metav1.LabelSelectorRequirement{Key: "label1", Operator: metav1.LabelSelectorOpNotIn}
	for key := range large {
		many.Values = append(many.Values, key)
	}
	for name, tc := range map[string]struct {
		requirement metav1.LabelSelectorRequirement
		want        labels.Set
	}{
		"a short selector": {except, labels.Set{"plain": "true", "large": "false"}},
		"a long selector":  {many, labels.Set{"plain": "false", "large": "false"}},
	} {
		spec := object.NamespacesSpec{From: "Selector", Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{tc.requirement}}}
		s := spec.Selection("Same")
		for namespace, want := range tc.want {
			if got := fmt.Sprint(s.Selects(namespace, "infra", labelled)); got != want {
				t.Errorf("%s, Namespace %s: selected %s, want %s", name, namespace, got, want)
			}
		}
	}
}
