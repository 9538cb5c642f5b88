package translator

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// all is what a recent release serves.
var all = []string{"gateways/v1", "gateways/v1beta1", "gatewayclasses/v1", "httproutes/v1", "httproutes/v1beta1", "grpcroutes/v1", "tlsroutes/v1", "listenersets/v1"}

// customObject parses one object of the Gateway API.
func customObject(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(manifest), "---")), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// gatewayState is a Gateway and a route of each kind on it, each in one version.
func gatewayState(t *testing.T, tlsVersion string) map[string][]runtime.Object {
	listeners := `listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}},
		{name: tls, port: 443, protocol: TLS, allowedRoutes: {namespaces: {from: All}}}]`
	state := fakeState()
	maps.Copy(state, map[string][]runtime.Object{
		"gateways/v1":             {customObject(t, strings.Split(gatewayWith(listeners), "---")[1])},
		"gatewayclasses/v1":       {customObject(t, class)},
		"httproutes/v1":           {customObject(t, routeOf(object.KindHTTPRoute, "http.org", toGateway))},
		"tlsroutes/" + tlsVersion: {customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway))},
		"namespaces":              {&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}},
	})
	return state
}

// What is there at the start is waited for, and all of it is answered.
func TestGatewayAPIAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		api.refuse("httproutes/v1", apierrors.NewServiceUnavailable("starting"))
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		if got := b.tr.Unsynced(); !slices.Equal(got, []string{"httproutes.gateway.networking.k8s.io"}) {
			t.Errorf("waiting for %q", got)
		}
		if b.index.Synced() {
			t.Error("synced without the HTTPRoutes")
		}
		api.refuse("httproutes/v1", nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		b.want("tls.org.", "10.0.0.5")
		b.want("web.shop.minilb.", "10.0.0.1")
		if got := b.tr.Stats().Names; got["httproute"] != 1 || got["tlsroute"] != 1 || got["grpcroute"] != 0 {
			t.Errorf("got names %v", got)
		}
		if lines := b.log.take(); !slices.Contains(lines, "I Reading the Gateway API: gatewayclasses v1, gateways v1, listenersets v1, httproutes v1, grpcroutes v1, tlsroutes v1") {
			t.Errorf("got the log %q", lines)
		}
	})
}

// G5, G7: what comes later is not waited for, and what goes takes its names along, both within a minute.
func TestGatewayAPIComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer()
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.0.1")
		b.want("http.org.", "-")
		if got := b.tr.Unsynced(); got != nil {
			t.Errorf("waiting for %q", got)
		}
		for _, s := range b.watcher.Status() {
			if !slices.Contains([]string{"service", "endpointslice", "ingress", "namespace"}, s.Kind) {
				t.Errorf("a status of %s, which is not served", s.Kind)
			}
		}
		if lines := b.log.take(); !slices.Contains(lines, "I The API server does not serve the Gateway API: its routes have names once it does") {
			t.Errorf("got the log %q", lines)
		}

		api.offer(all...)
		api.refuse("tlsroutes/v1", apierrors.NewServiceUnavailable("not yet"))
		time.Sleep(46 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		b.want("tls.org.", "-")
		if got := b.tr.Unsynced(); got != nil {
			t.Errorf("waiting for %q", got)
		}
		api.refuse("tlsroutes/v1", nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		lines := b.log.take()
		if !slices.Contains(lines, "I httproutes.gateway.networking.k8s.io: served from now on, as v1") || slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "namespaces: ") }) {
			t.Errorf("got the log %q", lines)
		}

		api.offer(without("httproutes")...)
		time.Sleep(48 * time.Second)
		synctest.Wait()
		b.want("http.org.", "-")
		b.want("tls.org.", "10.0.0.5")
		if lines := b.log.take(); !slices.Contains(lines, "I httproutes.gateway.networking.k8s.io: no longer served; what they named is gone") {
			t.Errorf("got the log %q", lines)
		}
		if slices.ContainsFunc(b.watcher.Status(), func(s cluster.WatchStatus) bool { return s.Kind == "httproute" }) {
			t.Error("a status of HTTPRoutes, which have gone")
		}
		// Whatever the watch before still says comes too late.
		api.send("httproutes/v1", watch.Added, customObject(t, routeOf(object.KindHTTPRoute, "late.org", toGateway)))
		synctest.Wait()
		b.want("late.org.", "-")

		api.offer(all...)
		time.Sleep(46 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
	})
}

// G5: an answer that cannot be had, or that is not repeated, changes nothing.
func TestGatewayAPIDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")

		api.mu.Lock()
		api.silent, api.asked = errors.New("dial tcp: connection refused"), 0
		api.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		api.mu.Lock()
		api.silent = nil
		api.mu.Unlock()
		if asked := api.timesAsked(); asked < 100 || asked > 160 {
			t.Errorf("asked %d times in five minutes, want once each 2s", asked)
		}

		time.Sleep(46 * time.Second)
		api.offer()
		for asked := api.timesAsked(); api.timesAsked() == asked; {
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		api.offer(all...)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")

		// Undisturbed, it is asked each 30 to 45 seconds.
		api.mu.Lock()
		api.asked = 0
		api.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked := api.timesAsked(); asked < 88 || asked > 104 {
			t.Errorf("asked %d times in an hour", asked)
		}
	})
}

// G6: a watch that finds its kind gone makes the API server be asked at once; nothing is logged
// for it, and the kind's objects stay until it is certain.
func TestGatewayAPIPoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.log.take()
		api.offer(without("httproutes")...)
		api.refuse("httproutes/v1", apierrors.NewNotFound(schema.GroupResource{Resource: "httproutes"}, ""))
		api.mu.Lock()
		api.streams["httproutes/v1"].Stop()
		api.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		b.want("http.org.", "-")
		if lines := b.log.take(); len(lines) != 1 || lines[0] != "I httproutes.gateway.networking.k8s.io: no longer served; what they named is gone" {
			t.Errorf("got the log %q", lines)
		}
	})
}

// G5: of kinds that go one after the other each is gone when it was missed twice, however many are
// missed for the first time then. A release of the Gateway API is deleted like that.
func TestGatewayAPIUninstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.log.take()
		remaining := all
		for _, resource := range []string{"gatewayclasses", "grpcroutes", "listenersets", "tlsroutes", "httproutes"} {
			asked := api.timesAsked()
			remaining = slices.DeleteFunc(slices.Clone(remaining), func(version string) bool { return strings.HasPrefix(version, resource+"/") })
			api.offer(remaining...)
			api.refuse(resource+"/v1", apierrors.NewNotFound(schema.GroupResource{Resource: resource}, ""))
			api.mu.Lock()
			api.streams[resource+"/v1"].Stop()
			api.mu.Unlock()
			for api.timesAsked() == asked { // the next goes when this one has been missed once
				time.Sleep(100 * time.Millisecond)
			}
		}
		synctest.Wait()
		b.want("http.org.", "10.0.0.5") // missed once
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("http.org.", "-")
		lines := b.log.take()
		if slices.ContainsFunc(lines, func(line string) bool { return !strings.HasSuffix(line, "no longer served; what they named is gone") }) || len(lines) != 5 {
			t.Errorf("got the log %q", lines)
		}
	})
}

// G5: another version takes over when it has listed all its objects, and not before.
func TestGatewayAPIVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1alpha3")
		before := without("tlsroutes")
		api.offer(append(before, "tlsroutes/v1alpha3", "tlsroutes/v1alpha2")...)
		gone := false
		b, stop := runBench(t, api, config.Options{Gateways: true}, func(b *bench) {
			routes := b.watcher.Routes(object.KindTLSRoute, "")
			routes.Subscribe(func(_, new *object.Route) { gone = gone || new == nil })
		})
		defer stop()
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		b.log.take()

		api.refuse("tlsroutes/v1", apierrors.NewServiceUnavailable("not yet"))
		api.mu.Lock()
		api.objects["tlsroutes/v1"] = []runtime.Object{
			customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway)),
			customObject(t, strings.Replace(routeOf(object.KindTLSRoute, "new.org", toGateway), "name: r,", "name: s,", 1)),
		}
		api.mu.Unlock()
		api.offer(all...)
		time.Sleep(46 * time.Second)
		api.send("tlsroutes/v1alpha3", watch.Modified, customObject(t, routeOf(object.KindTLSRoute, "tls.org, more.org", toGateway)))
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		b.want("more.org.", "10.0.0.5")
		b.want("new.org.", "-")

		api.refuse("tlsroutes/v1", nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		b.want("more.org.", "-")
		b.want("new.org.", "10.0.0.5")
		if gone {
			t.Error("a route was taken for deleted in between")
		}
		if lines := b.log.take(); !slices.Contains(lines, "I tlsroutes.gateway.networking.k8s.io: now read as v1 instead of v1alpha3") {
			t.Errorf("got the log %q", lines)
		}
		api.send("tlsroutes/v1alpha3", watch.Deleted, customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway)))
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		api.send("tlsroutes/v1", watch.Deleted, customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway)))
		synctest.Wait()
		b.want("tls.org.", "-")
	})
}

// G5: a version that is no longer wanted before it has listed anything never takes over.
func TestGatewayAPIVersionWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1alpha3")
		before := without("tlsroutes")
		before = append(before, "tlsroutes/v1alpha3")
		api.offer(before...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		api.refuse("tlsroutes/v1", apierrors.NewServiceUnavailable("not yet"))
		api.offer(append(before, "tlsroutes/v1")...)
		time.Sleep(46 * time.Second)
		api.offer(before...)
		time.Sleep(48 * time.Second)
		api.refuse("tlsroutes/v1", nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.want("tls.org.", "10.0.0.5")
		api.send("tlsroutes/v1alpha3", watch.Deleted, customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway)))
		synctest.Wait()
		b.want("tls.org.", "-")
	})
}

// G3: ListenerSets and XListenerSets are two kinds, each read while it is served.
func TestGatewayAPIListenerSets(t *testing.T) {
	for offered, want := range map[string]string{
		"xlistenersets/v1alpha1": "xlistenerset", "listenersets/v1": "listenerset", "listenersets/v1 xlistenersets/v1alpha1": "listenerset xlistenerset", "": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.offer(strings.Fields("gateways/v1 " + offered)...)
			b, stop := runBench(t, api, config.Options{Gateways: true})
			defer stop()
			synctest.Wait()
			var got []string
			for _, s := range b.watcher.Status() {
				if strings.HasSuffix(s.Kind, "listenerset") {
					got = append(got, s.Kind)
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%q: got %q, want %q", offered, got, want)
			}
		})
	}
}

// G7: one kind that is forbidden is empty, and costs the others nothing.
func TestGatewayAPIForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		for _, resource := range []string{"httproutes/v1", "gatewayclasses/v1"} {
			api.refuse(resource, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no")))
		}
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.0.1")
		b.want("tls.org.", "10.0.0.5")
		b.want("http.org.", "-")
		warnings := slices.DeleteFunc(b.log.take(), func(line string) bool { return !strings.Contains(line, "is forbidden: ") })
		slices.Sort(warnings)
		if len(warnings) != 2 || !strings.HasPrefix(warnings[0], "W gatewayclasses.gateway.networking.k8s.io: list and watch is forbidden") ||
			!strings.HasPrefix(warnings[1], "W httproutes.gateway.networking.k8s.io: list and watch is forbidden") {
			t.Errorf("got the log %q", warnings)
		}
		for _, s := range b.watcher.Status() {
			if want := s.Kind != "httproute" && s.Kind != "gatewayclass"; s.Synced != want {
				t.Errorf("%s: synced %v, want %v", s.Kind, s.Synced, want)
			}
		}
		api.refuse("httproutes/v1", nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
	})
}
