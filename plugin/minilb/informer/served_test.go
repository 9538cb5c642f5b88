package informer

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	group  = "gateway.networking.k8s.io"
	xGroup = "gateway.networking.x-k8s.io"
)

// G3, G4: what is served, by the API server's own answers.
func TestDiscover(t *testing.T) {
	answers := map[string]string{
		"/apis": `{"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps"}, {"name": "gateway.networking.k8s.io"}]}`,
		"/apis/gateway.networking.k8s.io": `{"kind": "APIGroup", "apiVersion": "v1", "name": "gateway.networking.k8s.io", "versions": [
			{"groupVersion": "gateway.networking.k8s.io/v1", "version": "v1"}, {"groupVersion": "gateway.networking.k8s.io/v1alpha3", "version": "v1alpha3"}]}`,
		"/apis/gateway.networking.k8s.io/v1": `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "gateway.networking.k8s.io/v1", "resources": [
			{"name": "gateways", "verbs": ["get", "list", "watch"]}, {"name": "gateways/status", "verbs": ["get", "patch"]}, {"name": "httproutes", "verbs": ["list"]}]}`,
		"/apis/gateway.networking.k8s.io/v1alpha3": `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "gateway.networking.k8s.io/v1alpha3", "resources": [
			{"name": "tlsroutes", "verbs": ["watch", "list"]}]}`,
	}
	var failing string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := answers[r.URL.Path]
		switch {
		case r.URL.Path == failing:
			http.Error(w, "starting", http.StatusServiceUnavailable)
		case !known:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(answer))
		}
	}))
	defer server.Close()
	core, err := corev1client.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup)
	want := Served{
		{Group: group, Version: "v1", Resource: "gateways"}:        true,
		{Group: group, Version: "v1alpha3", Resource: "tlsroutes"}: true,
	}
	if err != nil || !maps.Equal(offered, want) {
		t.Errorf("got %v and %v, want %v", offered, err, want)
	}
	// Anything but a clear answer is none: a version that was there a moment ago, too.
	for _, path := range []string{"/apis", "/apis/gateway.networking.k8s.io", "/apis/gateway.networking.k8s.io/v1", "/apis/gateway.networking.x-k8s.io"} {
		failing = path
		if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); err == nil || offered != nil {
			t.Errorf("%s fails: got %v and %v", path, offered, err)
		}
	}
	failing = ""
	// So is what does not come from an API server, or from one that does not yet know itself.
	for path, answer := range map[string]string{
		"/apis":                              `{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}`,
		"/apis/gateway.networking.k8s.io":    `{}`,
		"/apis/gateway.networking.k8s.io/v1": `{}`,
	} {
		honest := answers[path]
		answers[path] = answer
		if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); err == nil || offered != nil {
			t.Errorf("%s is %s: got %v and %v", path, answer, offered, err)
		}
		answers[path] = honest
	}
	before := answers["/apis/gateway.networking.k8s.io"]
	delete(answers, "/apis/gateway.networking.k8s.io")
	// That one is taken for what it most often is, one that comes between two requests (G5).
	if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); !apierrors.IsNotFound(err) || offered != nil {
		t.Errorf("a group is listed and not found: got %v and %v", offered, err)
	}
	answers["/apis/gateway.networking.k8s.io"] = before
	delete(answers, "/apis/gateway.networking.k8s.io/v1alpha3")
	if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); err == nil || offered != nil {
		t.Errorf("a version has gone in between: got %v and %v", offered, err)
	}
	clear(answers)
	if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); err == nil || offered != nil {
		t.Errorf("404 for everything, as of a load balancer: got %v and %v", offered, err)
	}
	answers["/apis"] = `{"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps"}]}`
	if offered, err := Discover(t.Context(), core.RESTClient(), group, xGroup); err != nil || len(offered) > 0 {
		t.Errorf("without the Gateway API: got %v and %v", offered, err)
	}
}
