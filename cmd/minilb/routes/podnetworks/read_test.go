package podnetworks

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// R20: what the API server does not serve costs one request, what may not be listed is left out and named unless it was asked
// for, and any other failure is one.
func TestRead(t *testing.T) {
	const (
		groups     = `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps"}GROUPS]}`
		cilium     = `{"kind":"APIGroup","apiVersion":"v1","name":"cilium.io","versions":[{"groupVersion":"cilium.io/v2","version":"v2"}]}`
		ciliumV2   = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"cilium.io/v2","resources":[{"name":"ciliumnodes","kind":"CiliumNode","verbs":["list","watch"]}]}`
		nodes      = `{"kind":"CiliumNodeList","apiVersion":"cilium.io/v2","metadata":{"resourceVersion":"1"},"items":[{"kind":"CiliumNode","apiVersion":"cilium.io/v2","metadata":{"name":"a"},"spec":{"ipam":{"podCIDRs":["10.0.0.0/24"]}}},{"metadata":{"name":"$(reboot)"}}]}`
		crd        = `{"kind":"APIGroup","apiVersion":"v1","name":"crd.projectcalico.org","versions":[{"groupVersion":"crd.projectcalico.org/v1","version":"v1"}]}`
		crdV1      = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"crd.projectcalico.org/v1","resources":[{"name":"blockaffinities","kind":"BlockAffinity","verbs":["list","watch"]}]}`
		affinities = `{"kind":"BlockAffinityList","apiVersion":"crd.projectcalico.org/v1","metadata":{"resourceVersion":"1"},"items":[{"kind":"BlockAffinity","apiVersion":"crd.projectcalico.org/v1","metadata":{"name":"a"},"spec":{"cidr":"10.8.0.0/26","deleted":"false","node":"a","state":"confirmed"}}]}`
		api        = `{"kind":"APIGroup","apiVersion":"v1","name":"projectcalico.org","versions":[{"groupVersion":"projectcalico.org/v3","version":"v3"}]}`
		apiV3      = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"projectcalico.org/v3","resources":[{"name":"blockaffinities","kind":"BlockAffinity","verbs":["list","watch"]}]}`
		forbidden  = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"no","code":403}`
		down       = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","message":"down","code":503}`
	)
	list := "/apis/cilium.io/v2/ciliumnodes"
	of := func(names ...string) string {
		for i, name := range names {
			names[i] = `,{"name":"` + name + `"}`
		}
		return strings.Replace(groups, "GROUPS", strings.Join(names, ""), 1)
	}
	calico := map[string]string{
		"/apis": of("crd.projectcalico.org", "projectcalico.org"), "/apis/crd.projectcalico.org": crd, "/apis/crd.projectcalico.org/v1": crdV1,
		"/apis/crd.projectcalico.org/v1/blockaffinities": affinities, "/apis/projectcalico.org": api, "/apis/projectcalico.org/v3": apiV3,
	}
	for _, tc := range []struct {
		name     string
		answers  map[string]string
		change   [2]string // a path and its other answer
		provider Provider
		requests int
		want     string // networks, then what is unread, or the error
	}{
		{"nothing", map[string]string{"/apis": of()}, [2]string{}, "", 1, ""},
		{"not asked for", map[string]string{}, [2]string{}, PodCIDRs, 0, ""},
		{"Cilium", map[string]string{"/apis": of("cilium.io"), "/apis/cilium.io": cilium, "/apis/cilium.io/v2": ciliumV2, list: nodes}, [2]string{}, Auto, 4, "a 10.0.0.0/24"},
		{"Cilium, forbidden", map[string]string{"/apis": of("cilium.io"), "/apis/cilium.io": cilium, "/apis/cilium.io/v2": ciliumV2, list: forbidden}, [2]string{}, Auto, 4, "unread ciliumnodes.cilium.io"},
		{"Cilium, asked for and forbidden", map[string]string{"/apis": of("cilium.io"), "/apis/cilium.io": cilium, "/apis/cilium.io/v2": ciliumV2, list: forbidden}, [2]string{}, Cilium, 4,
			"ciliumnodes.cilium.io: list is forbidden: apply deploy/kustomize, or grant list on ciliumnodes.cilium.io to this account (no)"},
		{"Cilium, failing", map[string]string{"/apis": of("cilium.io"), "/apis/cilium.io": cilium, "/apis/cilium.io/v2": ciliumV2, list: down}, [2]string{}, Auto, 4, "ciliumnodes.cilium.io: cannot list: down"},
		{"Calico with its API server", calico, [2]string{}, Auto, 6, "a 10.8.0.0/26"},
		{"Calico's API server is away", calico, [2]string{"/apis/projectcalico.org/v3", down}, Auto, 6, "a 10.8.0.0/26"},
		{"discovery is forbidden", map[string]string{"/apis": forbidden}, [2]string{}, Auto, 1, "unread API groups"},
		{"discovery is forbidden, asked for Calico", map[string]string{"/apis": forbidden}, [2]string{}, Calico, 1,
			"API groups: discover is forbidden: apply deploy/kustomize, or grant discover on API groups to this account (no)"},
		{"the API server is away", map[string]string{"/apis": down}, [2]string{}, Auto, 1, "API groups: cannot discover: down"},
	} {
		var mu sync.Mutex
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			requests++
			answer := tc.answers[r.URL.Path]
			if r.URL.Path == tc.change[0] {
				answer = tc.change[1]
			}
			w.Header().Set("Content-Type", "application/json")
			switch answer {
			case "":
				w.WriteHeader(http.StatusNotFound)
			case forbidden:
				w.WriteHeader(http.StatusForbidden)
			case down:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			io.WriteString(w, answer)
		}))
		clients, err := NewClients(kube.ClientConfig(&rest.Config{Host: server.URL}, "test"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := clients.Read(t.Context(), tc.provider)
		var said []string
		for _, objects := range found.Objects {
			for _, object := range objects {
				said = append(said, object.assignment.text())
			}
		}
		for _, resource := range found.Unread {
			said = append(said, "unread "+resource)
		}
		slices.Sort(said)
		got := strings.Join(said, "; ")
		if failure, is := errors.AsType[*kube.Error](err); is {
			got = failure.Text
		} else if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got != tc.want || requests != tc.requests {
			t.Errorf("%s: got %q by %d requests, want %q by %d", tc.name, got, requests, tc.want, tc.requests)
		}
		server.Close()
	}
}
