package object_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal([]byte(text), &obj.Object); err != nil { // numbers as in the API server's answers
		t.Fatal(err)
	}
	return obj
}

// read decodes an object of any kind, and returns what is wrong with it.
func read(obj *unstructured.Unstructured) []object.Problem {
	switch kind := obj.GetKind(); kind {
	case object.KindGateway:
		return object.NewGateway(obj, nil).Targets.Problems
	case object.KindGatewayClass:
		return object.NewGatewayClass(obj, nil).Problems
	case object.KindListenerSet, object.KindXListenerSet:
		return object.NewListenerSet(kind)(obj, nil).Problems
	default:
		return object.NewRoute(kind)(obj, nil).Problems
	}
}

// What does not fit costs the object, and is told with the place. What is not used may be
// anything, as a newer version may have it.
func TestDecode(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{`{"kind": "HTTPRoute"}`, ""},
		{`{"kind": "HTTPRoute", "spec": null, "status": null}`, ""},
		{`{"kind": "HTTPRoute", "spec": {"hostnames": null, "parentRefs": [{}]}, "status": {"parents": [{"parentRef": {}}, {}]}}`, ""},
		{`{"kind": "HTTPRoute", "spec": {"rules": "all", "hostnames": []}, "status": {"rules": 3, "parents": [{"conditions": [{"lastTransitionTime": 7}]}]}}`, ""},
		{`{"kind": "HTTPRoute", "metadata": {"managedFields": "none"}}`, ""},
		{`{"kind": "HTTPRoute", "Spec": 5, "spec": {"HostNames": 5}}`, ""}, // other fields, as the API server tells them apart
		{`{"kind": "HTTPRoute", "spec": {"hostnames": "a.ex.org"}}`, "there is a string in spec.hostnames"},
		{`{"kind": "HTTPRoute", "spec": {"parentRefs": [{"port": "http"}]}}`, "there is a string in spec.parentRefs.port"},
		{`{"kind": "GRPCRoute", "status": {"parents": {}}}`, "there is a object in status.parents"},
		{`{"kind": "TLSRoute", "spec": 5}`, "there is a number in spec"},
		{`{"kind": "Gateway"}`, ""},
		{`{"kind": "Gateway", "spec": {"listeners": [{}]}, "status": {"addresses": [], "listeners": [{}]}}`, ""},
		{`{"kind": "Gateway", "spec": {"listeners": [{"tls": "yes", "allowedRoutes": {"namespaces": null, "kinds": [{}]}}], "allowedListeners": {}}}`, ""},
		{`{"kind": "Gateway", "spec": {"listeners": 5}}`, "there is a number in spec.listeners"},
		{`{"kind": "Gateway", "status": {"addresses": [{"value": true}]}}`, "there is a bool in status.addresses.value"},
		{`{"kind": "GatewayClass"}`, ""},
		{`{"kind": "GatewayClass", "spec": {"controllerName": [1]}}`, "there is a array in spec.controllerName"},
		{`{"kind": "ListenerSet"}`, ""},
		{`{"kind": "XListenerSet", "spec": {"parentRef": {}, "listeners": [{}]}}`, ""},
		{`{"kind": "ListenerSet", "spec": {"parentRef": "gw"}}`, "there is a string in spec.parentRef"},
	} {
		problems := read(parsed(t, tc.text))
		switch {
		case tc.want == "" && problems != nil:
			t.Errorf("%s: got %q", tc.text, problems[0].Text)
		case tc.want != "" && (len(problems) != 1 || problems[0].Text != "it is not as its kind should be and is left out: "+tc.want):
			t.Errorf("%s: got %v, want %q", tc.text, problems, tc.want)
		}
	}
}

// However long what does not fit is, the line about it is not.
func TestDecodeLong(t *testing.T) {
	problems := read(parsed(t, `{"kind": "HTTPRoute", "metadata": {"creationTimestamp": "`+strings.Repeat("x", 10_000)+`"}}`))
	if len(problems) != 1 || len(problems[0].Text) > 400 {
		t.Errorf("got %d problems: %.500v", len(problems), problems)
	}
}

// What is known of an object is known of one that cannot be read, too.
func TestDecodeIdentity(t *testing.T) {
	obj := parsed(t, `{"kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": "r", "creationTimestamp": "2026-01-01T00:00:00Z",
		"labels": {"minilb/ignore": "true"}, "managedFields": [{"manager": "x"}]}, "spec": 5}`)
	r := object.NewRoute(object.KindHTTPRoute)(obj, nil)
	created := metav1.Unix(r.Created, 0).UTC().Format("2006-01-02")
	if r.Namespace != "shop" || r.Name != "r" || created != "2026-01-01" || !r.Ignored || len(r.Problems) != 1 || r.Problems[0].Ref.String() != "HTTPRoute shop/r" {
		t.Errorf("got %+v", r)
	}
}

// FuzzDecode reads whatever the API server could hold: nothing panics, all that is kept is
// bounded, and what is wrong fits one line.
func FuzzDecode(f *testing.F) {
	for _, kind := range []string{object.KindGateway, object.KindGatewayClass, object.KindListenerSet, object.KindXListenerSet, object.KindHTTPRoute, object.KindTLSRoute} {
		for _, rest := range []string{
			`"spec": {"hostnames": ["a.ex.org"], "parentRefs": [{"name": "gw", "port": 80, "sectionName": "http"}]}, "status": {"parents": [{"parentRef": {"name": "gw"}, "controllerName": "c", "conditions": [{"type": "Accepted", "status": "True"}]}]}`,
			`"metadata": {"namespace": "infra", "name": "gw", "annotations": {"minilb/service": "web"}}, "spec": {"gatewayClassName": "gc", "listeners": [{"name": "http", "hostname": "*.ex.org", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}, "kinds": [{"kind": "HTTPRoute"}]}}]}, "status": {"addresses": [{"value": "10.0.0.5"}], "listeners": [{"name": "http", "supportedKinds": [{"kind": "HTTPRoute"}]}]}`,
			`"metadata": 5, "spec": [], "status": {"listeners": "x"}`,
			`"metadata": {"name": 1, "labels": {"minilb/ignore": true}, "creationTimestamp": "never"}, "spec": {"controllerName": "c", "parentRef": {"name": "gw"}}`,
		} {
			f.Add(`{"kind": "` + kind + `", ` + rest + `}`)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		obj := &unstructured.Unstructured{}
		if utiljson.Unmarshal([]byte(text), &obj.Object) != nil {
			return
		}
		for _, p := range read(obj) {
			if strings.ContainsAny(p.Text, "\n\r") || len(p.Text) > 400 || p.Ref == nil {
				t.Errorf("got the problem %q", p.Text)
			}
		}
		r := object.NewRoute(object.KindHTTPRoute)(obj, nil)
		gw := object.NewGateway(obj, nil)
		set := object.NewListenerSet(object.KindListenerSet)(obj, nil)
		for _, unaccepted := range []bool{false, true} {
			routes := gateway.New(&config.Options{IgnoreAccepted: unaccepted})
			r.Ignored, gw.Ignored, set.Ignored = false, false, false
			for _, obj := range []gateway.Object{r, gw, set} {
				routes.Set(obj)
			}
			routes.Recompute(nil, func(string, string) bool { return false })
			for _, c := range routes.Claims(r.KindName()) {
				for _, host := range c.Hosts {
					if again, err := hostname.Parse(host); err != nil || again != host {
						t.Errorf("got the host %q", host)
					}
				}
			}
		}
	})
}
