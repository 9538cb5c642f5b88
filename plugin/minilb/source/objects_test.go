package source

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// What objects given by hand amount to is what a cluster with them does, within the namespaces that
// are read (G3, G15, C2).
func TestInspectObjects(t *testing.T) {
	namespace := func(name string) *corev1.Namespace {
		n := &corev1.Namespace{}
		n.Name, n.Labels = name, map[string]string{"routes": "yes"}
		return n
	}
	objects := []runtime.Object{testService("shop/web", 2, "a.ex.org"), testService("dev/web", 3, "a.ex.org"), namespace("shop"), namespace("dev")}
	for _, resource := range []string{"endpointslices", "ingresses"} {
		objects = append(objects, fakeState()[resource]...)
	}
	const gateway = `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: Gateway
metadata: {namespace: infra, name: gw}
spec: {listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {routes: "yes"}}}}}]}
status: {addresses: [{value: 10.0.0.5}]}`
	const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: r}
spec: {hostnames: [r.ex.org], parentRefs: [{namespace: infra, name: gw}]}
status: {parents: [{parentRef: {namespace: infra, name: gw}, controllerName: x, conditions: [{type: Accepted, status: "True"}]}]}`
	for _, manifest := range []string{gateway, route} {
		custom := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest), &custom.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, custom)
	}
	for _, tc := range []struct {
		name       string
		namespaces []string
		names      string
		refused    string // objects whose hosts are
		served     string
	}{
		{"all", nil, "a.ex.org. r.ex.org. s.ex.org. web.dev.minilb. web.shop.minilb.", "Service dev/web", "Gateway v1beta1, HTTPRoute v1"},
		{"two namespaces", []string{"infra", "shop"}, "a.ex.org. r.ex.org. s.ex.org. web.shop.minilb.", "", "Gateway v1beta1, HTTPRoute v1"},
		{"one namespace", []string{"dev"}, "a.ex.org. web.dev.minilb.", "", "Gateway v1beta1, HTTPRoute v1"},
	} {
		options := Defaults()
		options.Zones, options.Namespaces = []string{"minilb."}, tc.namespaces
		i, err := InspectObjects(options, objects...)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(i.Names(), " "); got != tc.names {
			t.Errorf("%s: names are %q, want %q", tc.name, got, tc.names)
		}
		var refused, served []string
		for _, r := range i.Refusals() {
			if r.Reason == ReasonConflict && r.Kind == "Service" {
				refused = append(refused, r.Kind+" "+r.Namespace+"/"+r.Name)
			}
		}
		for _, s := range i.Served() {
			if s.Version != "" {
				served = append(served, s.Kind+" "+s.Version)
			}
		}
		if got := strings.Join(slices.Compact(refused), " "); got != tc.refused {
			t.Errorf("%s: refused are %q, want %q", tc.name, got, tc.refused)
		}
		if got := strings.Join(served, ", "); got != tc.served {
			t.Errorf("%s: served are %q, want %q", tc.name, got, tc.served)
		}
		if unread := i.Unread(); len(unread) > 0 {
			t.Errorf("%s: got unread %+v", tc.name, unread)
		}
	}
}
