package inspect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// atOnce is more endpoints than are merged within the event of a slice.
const atOnce = 2048

// What objects given by hand amount to is what a cluster with them does, within the namespaces that
// are read (G3, G15, C2).
func TestObjects(t *testing.T) {
	namespace := func(name string) *corev1.Namespace {
		n := &corev1.Namespace{}
		n.Name, n.Labels = name, map[string]string{"routes": "yes"}
		return n
	}
	objects := []runtime.Object{testService("shop/web", 2, "a.ex.org"), testService("dev/web", 3, "a.ex.org"), namespace("shop"), namespace("dev")}
	objects = append(objects, sliceObject("shop/web", "web-1", "10.0.0.1"))
	objects = append(objects, ingresses()...)
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
		options := config.Defaults()
		options.Zones, options.Namespaces = []string{"minilb."}, tc.namespaces
		i := objectsOf(t, options, objects...)
		if got := strings.Join(i.Names(), " "); got != tc.names {
			t.Errorf("%s: names are %q, want %q", tc.name, got, tc.names)
		}
		var refused, served []string
		for _, p := range i.Problems() {
			if p.Reason == object.ReasonConflict && p.Ref.Kind == "Service" {
				refused = append(refused, p.Ref.Kind+" "+p.Ref.Namespace+"/"+p.Ref.Name)
			}
		}
		for _, s := range i.ServedKinds() {
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
		if unread := i.Unavailable(); len(unread) > 0 {
			t.Errorf("%s: got unread %+v", tc.name, unread)
		}
	}
}

// What the block says of a name is kept, and what only a server does is left out (D8, D26).
func TestObjectsOptions(t *testing.T) {
	options := config.Defaults()
	options.Zones = []string{"minilb."}
	web := sliceObject("shop/web", "web-1", "10.0.0.9", "none")
	web.Endpoints[0].NodeName = new("n1")
	large := sliceObject("shop/large", "large-1") // which is merged once all is listed
	large.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().Format(time.RFC3339Nano)}
	for addr := netip.MustParseAddr("10.1.0.1"); len(large.Endpoints) <= atOnce; addr = addr.Next() {
		large.Endpoints = append(large.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr.String()}})
	}
	before := sliceObject("shop/web", "web-0", "10.0.0.1", "other") // and yet listed later
	all, err := Objects([]runtime.Object{testService("shop/web", 1, "a.ex.org, b.ex.org"), testService("shop/large", 2, ""), web, before, large}, func(host string) bool { return host != "a.ex.org." }, options)
	if err != nil {
		t.Fatal(err)
	}
	i := all[0]
	var told []string
	for _, p := range i.Problems() {
		if p.Reason == "" {
			told = append(told, p.Host)
		}
	}
	if got := strings.Join(told, " "); got != "a.ex.org." {
		t.Errorf("D8: what is said to be out of reach is %q, want a.ex.org", got)
	}
	if zone, result, node := i.Lookup("ns1.minilb."); zone != "minilb." || result != records.Found || node == nil {
		t.Errorf("D26: the name server is %v in %q with node %v", result, zone, node)
	}
	// C5: by address and by text, in whatever order the slices come.
	service, _ := i.Service("shop", "web")
	if want := []translator.Endpoint{
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.1"), State: object.StateReady, Answered: true},
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.9"), Node: "n1", State: object.StateReady, Answered: true},
	}; !slices.Equal(service.Endpoints, want) {
		t.Errorf("got endpoints %+v, want %+v", service.Endpoints, want)
	}
	if len(service.Problems) != 2 || !slices.IsSorted(service.Problems) {
		t.Errorf("got problems %q, want two in order", service.Problems)
	}
	if service, _ := i.Service("shop", "large"); len(service.Endpoints) <= atOnce || !service.Endpoints[0].Answered {
		t.Errorf("a large Service has %d endpoints, or they are not answered", len(service.Endpoints))
	}
}

// C6: what keeps a wildcard off a name of others is no name that is answered.
func TestObjectsFence(t *testing.T) {
	options := config.Defaults()
	options.Claims = []config.ClaimRule{{Suffix: "ex.org."}, {Suffix: "lan.ex.org.", Namespaces: []string{"other"}}}
	i := objectsOf(t, options, testService("shop/web", 1, "*.ex.org"))
	if got := strings.Join(i.Names(), " "); got != "*.ex.org." {
		t.Errorf("names are %q", got)
	}
	if refusals := i.Problems(); len(refusals) > 0 { // nor is anything out of reach if nobody says so (D8)
		t.Errorf("got refusals %+v", refusals)
	}
	if _, result, _ := i.Lookup("a.lan.ex.org."); result == records.Found {
		t.Error("the wildcard covers what belongs to others")
	}
}
