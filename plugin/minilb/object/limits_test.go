package object

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

	"github.com/minilb/minilb/plugin/minilb/lb"
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
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: map[string]string{name: value}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, Ports: []corev1.ServicePort{{Port: 443}}},
		}
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
		"hosts":                    {func() any { return annotated(&ours, lb.HostAnnotation, padded("", "a.org,")) }, maxHostText + small},
		"white space":              {func() any { return annotated(&ours, lb.HostAnnotation, padded("a.org", " ")) }, small},
		"protocols":                {func() any { return annotated(&ours, lb.ALPNAnnotation, padded("h2", ",")) }, small},
		"an Ingress": {func() any {
			i := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "i"}}
			i.Spec.Rules = []networkingv1.IngressRule{{Host: "a.org"}}
			i.Annotations = map[string]string{lb.ServiceAnnotation: padded("web", " "), "kubernetes.io/ingress.class": padded("nginx", "x")}
			return i
		}, small},
		"an Ingress with hosts": {func() any {
			i := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "i"}}
			for n := range 5000 {
				i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: fmt.Sprintf("%s%d.org", strings.Repeat("l.", 100), n)})
			}
			return i
		}, 2*maxHostText + small},
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
		fields := &Fields{Classes: []string{lb.DefaultClass}, HostAnnotations: []string{lb.HostAnnotation}, HTTPS: true}
		reduce := func(full any) any {
			switch full := full.(type) {
			case *corev1.Service:
				return NewService(full, fields)
			case *networkingv1.Ingress:
				return NewIngress(full, nil)
			case *corev1.Namespace:
				return NewNamespace(full, nil)
			case *discoveryv1.EndpointSlice:
				return NewEndpointSlice(full, fields)
			}
			switch full := full.(*unstructured.Unstructured); full.GetKind() {
			case KindHTTPRoute:
				return NewRoute(KindHTTPRoute)(full, nil)
			case KindListenerSet:
				return NewListenerSet(KindListenerSet)(full, nil)
			default:
				return NewGateway(full, nil)
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

// C7c: a listener whose selector, or a Namespace whose labels are too long selects nothing and is not selected: what is
// cut off might be what keeps somebody out.
func TestKeptSelection(t *testing.T) {
	large := map[string]string{}
	for i := range 5000 {
		large[fmt.Sprintf("label%d", i)] = "value-of-some-length"
	}
	labelled := func(name string) (labels.Set, bool) {
		ns := map[string]*Namespace{
			"plain": NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}}, nil),
			"large": NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "large", Labels: large}}, nil),
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
		spec := namespacesSpec{From: "Selector", Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{tc.requirement}}}
		s := spec.selection("Same")
		for namespace, want := range tc.want {
			if got := fmt.Sprint(s.Selects(namespace, "infra", labelled)); got != want {
				t.Errorf("%s, Namespace %s: selected %s, want %s", name, namespace, got, want)
			}
		}
	}
}
