package translator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// runBench runs a bench against the API until the returned function is called, which
// returns when nothing of it is left. What is to be changed of the bench must be before.
func runBench(t *testing.T, api *fakeAPI, options config.Options, before ...func(*bench)) (b *bench, stop func()) {
	b = connect(t, api, options)
	for _, change := range before {
		change(b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.watcher.Run(ctx)
	}()
	return b, func() {
		cancel()
		<-done
	}
}

// connect makes a bench whose Cluster will read from the API.
func connect(t *testing.T, api *fakeAPI, options config.Options) *bench {
	return newBenchFor(t, options, clientsOf(t, api))
}

// clientsOf returns clients of the API.
func clientsOf(t *testing.T, api *fakeAPI) *cluster.Clients {
	// The one that limits their rate takes the bubble's clock for one that goes wrong.
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
	client, custom := fake.NewClientset(), dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds())
	api.serve(&client.Fake)
	api.serve(&custom.Fake)
	api.dynamic = custom
	clients := testClients(t)
	clients.Core, clients.Discovery, clients.Networking = client.CoreV1(), client.DiscoveryV1(), client.NetworkingV1()
	clients.Dynamic, clients.Served = custom, api.discover
	return clients
}

// The first lists and every change after them are answered, and when Run returns nothing runs.
func TestTranslators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = fakeState()
		b, stop := runBench(t, api, config.Options{})
		synctest.Wait()
		for name, want := range map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "s.ex.org.": "10.0.0.1", "a.ex.org.": "10.9.9.9"} {
			b.want(name, want)
		}
		for resource, want := range map[string]string{"services": "spec.type=LoadBalancer", "endpointslices": "", "ingresses": ""} {
			if got := api.selectors[resource]; got != want {
				t.Errorf("%s: got field selector %q, want %q", resource, got, want)
			}
		}
		if lines := b.log.take(); len(lines) != 1 || !strings.Contains(lines[0], `Service shop/web: host "bad_host"`) {
			t.Errorf("got %q, want one line about bad_host", lines)
		}

		time.Sleep(time.Minute)
		later := testIngress("shop/later", "later.ex.org")
		later.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.8"}}
		api.send("ingresses", watch.Added, later)
		api.send("services", watch.Deleted, testService("shop/web", 1, ""))
		synctest.Wait()
		b.want("later.ex.org.", "10.9.9.8")
		b.want("web.shop.minilb.", "-")
		b.want("s.ex.org.", "-")

		// D78: a bookmark is a sign of life.
		time.Sleep(time.Minute)
		api.send("endpointslices", watch.Bookmark, &discoveryv1.EndpointSlice{})
		synctest.Wait()
		ago := map[string]time.Duration{"service": time.Minute, "ingress": time.Minute, "endpointslice": 0}
		for _, s := range b.watcher.Status() {
			if s.LastEvent.IsZero() {
				continue // of Services by their label, of which there are none
			}
			want, known := ago[s.Kind]
			if got := time.Since(s.LastEvent); !known || !s.Synced || got != want {
				t.Errorf("%s: synced %v, last event %v ago, want true, %v", s.Kind, s.Synced, got, want)
			}
			delete(ago, s.Kind)
		}
		if len(ago) > 0 {
			t.Errorf("no status of %v", ago)
		}
		stop()
	})
}

// D72, D73, G7: what the API server does not let us read, or cannot give us yet.
func TestTranslatorsRefused(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "", errors.New("no"))
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "x"}, "")
	unwell := apierrors.NewServiceUnavailable("starting")
	tests := []struct {
		resource string
		err      error
		unsynced string            // what is waited for
		want     map[string]string // "not synced" is the lookup's result
	}{
		{"ingresses", forbidden, "", map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "a.ex.org.": "-", "s.ex.org.": "-"}},
		{"ingresses", missing, "", map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "a.ex.org.": "-", "s.ex.org.": "-"}},
		{"ingresses", unwell, "", map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "a.ex.org.": "-", "s.ex.org.": "-"}},
		{"services", forbidden, "services", map[string]string{"web.shop.minilb.": "not synced", "web.ex.org.": "-", "a.ex.org.": "10.9.9.9", "s.ex.org.": "-"}},
		{"services", unwell, "services", map[string]string{"web.shop.minilb.": "not synced", "a.ex.org.": "not synced"}},
		{"endpointslices", forbidden, "endpointslices.discovery.k8s.io", map[string]string{"web.shop.minilb.": "not synced", "web.ex.org.": "-", "a.ex.org.": "10.9.9.9", "s.ex.org.": "-"}},
		{"endpointslices", unwell, "endpointslices.discovery.k8s.io", map[string]string{"web.shop.minilb.": "not synced", "a.ex.org.": "not synced"}},
	}
	for _, tc := range tests {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects = fakeState()
			api.refuse(tc.resource, tc.err)
			b, stop := runBench(t, api, config.Options{})
			defer stop()
			time.Sleep(time.Second) // G7: what may come yet is waited for
			synctest.Wait()
			for _, name := range []string{"web.shop.minilb.", "web.ex.org."} {
				result, _ := b.index.Lookup(b.index.Zone(name), name)
				if tc.err != error(missing) && (result != records.NotSynced || !strings.Contains(strings.Join(b.tr.Unsynced(), ", "), tc.resource)) {
					t.Errorf("%s: %v: %s after a second: got %v, unsynced %q", tc.resource, tc.err, name, result, b.tr.Unsynced())
				}
			}
			time.Sleep(10 * time.Minute) // many attempts
			synctest.Wait()
			for name, want := range tc.want {
				got := b.addrs(name)
				if result, _ := b.index.Lookup(b.index.Zone(name), name); result == records.NotSynced {
					got = "not synced"
				}
				if got != want {
					t.Errorf("%s: %v: %s: got %q, want %q", tc.resource, tc.err, name, got, want)
				}
			}
			if got := strings.Join(b.tr.Unsynced(), ", "); got != tc.unsynced || b.index.Synced() != (tc.unsynced == "") {
				t.Errorf("%s: %v: got unsynced %q, want %q", tc.resource, tc.err, got, tc.unsynced)
			}
			lines := slices.DeleteFunc(b.log.take(), func(line string) bool {
				return strings.Contains(line, "is refused") || strings.Contains(line, "is not served")
			})
			if len(lines) != 1 || !strings.HasPrefix(lines[0], "W ") || !strings.Contains(lines[0], tc.resource) {
				t.Errorf("%s: %v: got log %q, want one warning", tc.resource, tc.err, lines)
			}

			api.refuse(tc.resource, nil)
			time.Sleep(3 * time.Second) // what an outage lasts longer for us
			synctest.Wait()
			for name, want := range map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "s.ex.org.": "10.0.0.1", "a.ex.org.": "10.9.9.9"} {
				if got := b.addrs(name); got != want {
					t.Errorf("%s: %v, and granted later: %s: got %q, want %q", tc.resource, tc.err, name, got, want)
				}
			}
		})
	}
}

// Each kind is watched once a namespace, however many blocks read it, and not at all if none does.
func TestTranslatorsTables(t *testing.T) {
	w, err := New(&rest.Config{Host: "https://api.example"}, &testLog{})
	if err != nil {
		t.Fatal(err)
	}
	index := records.NewIndex([]string{"minilb."})
	first := NewTranslator(w, config.Options{Namespaces: []string{"one", "two"}, Services: true}, index, Hooks{})
	watches := func() (kinds []string) {
		for _, s := range w.Watches {
			kinds = append(kinds, s.Kind)
		}
		slices.Sort(kinds)
		return kinds
	}
	if slices.Contains(watches(), "ingress") {
		t.Error("Ingresses are watched for nobody")
	}
	second := NewTranslator(w, config.Options{Namespaces: []string{"two"}, Ingresses: true}, index, Hooks{})
	if got := strings.Join(watches(), " "); got != "endpointslice endpointslice ingress labelled service labelled service service service" {
		t.Errorf("got watches of %s", got)
	}

	// All who wait for a kind learn that it is there; it is synced once all its namespaces are.
	w.Services("one").Replace(nil, "1")
	w.LabelledServices("one").Replace(nil, "1")
	for i, translator := range []*Translator{first, second} {
		select {
		case <-translator.wake:
		default:
			t.Errorf("Translator %d is not told of a complete list", i)
		}
	}
	synced := func() bool {
		return !slices.ContainsFunc(w.Status(), func(s cluster.WatchStatus) bool { return s.Kind == "service" && !s.Synced })
	}
	for range 20 { // in whichever order they come
		if synced() {
			t.Fatal("Services are synced with one of two namespaces")
		}
	}
	if got, want := strings.Join(first.Unsynced(), ", "), `services in namespace "two", endpointslices.discovery.k8s.io in namespace "one", endpointslices.discovery.k8s.io in namespace "two"`; got != want {
		t.Errorf("got unsynced %s, want %s", got, want)
	}
	w.Services("two").Replace(nil, "1")
	w.LabelledServices("two").Replace(nil, "1")
	if !synced() {
		t.Error("Services are not synced with both of two namespaces")
	}
}

// D78: for how long the API server has been away, by the first request that it did not answer.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config.Options{})
		h := b.services().Status
		check := func(want time.Duration) {
			t.Helper()
			if got := b.watcher.OutageDuration(); got != want {
				t.Errorf("away for %v, want %v", got, want)
			}
		}
		check(0)
		h.Observe(t.Context(), errors.New("dial tcp: connection refused"))
		time.Sleep(time.Minute)
		check(time.Minute)
		b.watcher.EndpointSlices("").Observe(t.Context(), errors.New("dial tcp: connection refused"))
		time.Sleep(time.Minute)
		check(2 * time.Minute)
		h.Observe(t.Context(), errUnwell) // an answer, if a bad one
		check(0)
		h.Observe(t.Context(), apierrors.NewUnauthorized("expired"))
		time.Sleep(time.Minute)
		check(time.Minute)
		h.Observe(t.Context(), nil)
		check(0)
	})
}
