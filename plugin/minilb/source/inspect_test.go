package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// inspected reads all that there is of the API, once, as Inspect does. It is to be called in a bubble.
func inspected(t *testing.T, ctx context.Context, api *fakeAPI, options config.Options) (*DryRun, error) {
	t.Helper()
	b := connect(t, api, options)
	b.watcher.RequireAll()
	i := &DryRun{cluster: b.watcher.Cluster, translator: b.tr, index: b.index}
	if err := b.watcher.readOnce(ctx); err != nil {
		return nil, err
	}
	i.judge()
	return i, nil
}

// inspectObjects returns the DryRun of one of the options.
func inspectObjects(options config.Options, hooks Hooks, objects ...runtime.Object) (*DryRun, error) {
	all, err := InspectObjects(objects, hooks, options)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// inspectedState is what the tests of an DryRun look at: Services, Ingresses and routes that
// answer, and others that do not, for all kinds of reasons.
func inspectedState(t *testing.T) map[string][]runtime.Object {
	state := gatewayState(t, "v1")
	late, off, foreign, nobody := testService("late/web", 9, "web.ex.org"), testService("shop/off", 2, "web.ex.org"), testService("shop/foreign", 3, "web.ex.org"), testService("shop/nobody", 4, "web.ex.org")
	off.Labels = map[string]string{lb.IgnoreLabel: "true"}
	foreign.Spec.LoadBalancerClass, nobody.Spec.LoadBalancerClass = pointer("metallb"), nil
	twice := testService("shop/twice", 5, "web.ex.org, web.ex.org., twice.shop.minilb, x.ex.org")
	state["services"] = append(state["services"], late, off, foreign, nobody, twice)

	wild := testIngress("shop/wild", "*.ex.org", "*.ex.org")
	wild.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.8"}, {Hostname: "lb.aws.com"}}
	idle := testIngress("shop/idle", "a.ex.org")
	ignoredIngress := testIngress("shop/off", "a.ex.org")
	ignoredIngress.Labels = off.Labels
	state["ingresses"] = append(state["ingresses"], wild, idle, ignoredIngress)

	state["endpointslices"] = append(state["endpointslices"], &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-2", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.4"}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(false), Serving: pointer(false), Terminating: pointer(true)}},
			{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(false), Serving: pointer(true), Terminating: pointer(true)}},
			{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(false)}, Hostname: pointer("db-0"), NodeName: pointer("n1")},
			{Addresses: []string{"10.0.0.1"}},
			{Addresses: []string{"none"}},
		},
	})
	return state
}

// inspectedAPI serves that.
func inspectedAPI(t *testing.T) *fakeAPI {
	api := newFakeAPI()
	api.objects = inspectedState(t)
	api.offer(all...)
	return api
}

// An DryRun shows what is answered, of which Services, and what is refused.
func TestInspection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := inspected(t, t.Context(), inspectedAPI(t), config.Options{Gateways: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(i.Names(), " "), "*.ex.org. a.ex.org. http.org. s.ex.org. tls.org. twice.shop.minilb. web.ex.org. web.late.minilb. web.shop.minilb. x.ex.org."; got != want {
			t.Errorf("got names %s\nwant      %s", got, want)
		}
		for name, want := range map[string]string{"a.ex.org.": " 0", "web.shop.minilb.": "minilb. 0"} {
			zone, result, node := i.Lookup(name)
			if got := fmt.Sprint(zone, " ", int(result-records.Found)); got != want || node == nil {
				t.Errorf("%s: got %q with node %v, want %q", name, got, node, want)
			}
		}

		var services []string
		for _, s := range i.Services() {
			services = append(services, s.Namespace+"/"+s.Name)
		}
		if want := []string{"late/web", "shop/twice", "shop/web"}; !slices.Equal(services, want) {
			t.Errorf("got Services %q, want %q", services, want)
		}
		web, found := i.Service("shop", "web")
		want := []Endpoint{
			{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.1"), State: object.StateReady, Answered: true},
			{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.2"), Hostname: "db-0", Node: "n1", State: object.StateNotReady},
			{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.3"), State: object.StateServing},
			{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.4"), State: object.StateTerminating},
		}
		if !found || !slices.Equal(web.Endpoints, want) || len(web.Problems) != 1 || !strings.HasPrefix(web.Problems[0], "EndpointSlice shop/web-2: ") {
			t.Errorf("got %+v, found %v, want endpoints %+v and a problem", web, found, want)
		}
		if _, found := i.Service("shop", "off"); found {
			t.Error("M8: a Service that is to be ignored is exposed")
		}

		var refusals []string
		for _, r := range i.Rejections() {
			refusals = append(refusals, fmt.Sprintf("%s %s/%s %s %s", r.Kind, r.Namespace, r.Name, r.Host, r.Reason))
		}
		if want := []string{
			"Service late/web web.ex.org conflict",
			"EndpointSlice shop/web-2  endpoint",
			"Ingress shop/idle a.ex.org dead",
			"Service shop/web  invalid",
		}; !slices.Equal(refusals, want) {
			t.Errorf("got refusals\n%s\nwant\n%s", strings.Join(refusals, "\n"), strings.Join(want, "\n"))
		}
		if got := i.Unavailable(); len(got) > 0 {
			t.Errorf("unread are %v", got)
		}
	})
}

// C7: who claims nothing but what he is refused outside the zones is none of those who claim hosts there.
func TestClaiming(t *testing.T) {
	b := newBench(t, config.Options{ReverseZones: []string{"10.in-addr.arpa."}})
	b.sync()
	for id, hosts := range map[string]string{"shop/i": "a.ex.org", "later/i": "a.ex.org", "wide/i": "*.org, wpad.org, 1.10.in-addr.arpa", "within/i": "within.minilb", "both/i": "*.org, b.ex.org"} {
		b.watcher.Ingresses("").Update(testIngress(id, strings.Split(hosts, ", ")...))
	}
	i := &DryRun{cluster: b.watcher.Cluster, translator: b.tr, index: b.index}
	i.judge()
	if got, want := i.Claiming(), []string{"both", "later", "shop"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// G3: in which version each kind is read, and what of it cannot be.
func TestInspectionServed(t *testing.T) {
	for name, tc := range map[string]struct {
		options config.Options
		offered []string
		refused map[string]error
		served  string
		unread  string
		hung    string // the resource whose list never ends
	}{
		"all": {config.Options{Gateways: true}, all, nil, "GRPCRoute=v1 Gateway=v1 GatewayClass=v1 HTTPRoute=v1 ListenerSet=v1 TLSRoute=v1 XListenerSet=", "", ""},
		"old": {config.Options{Gateways: true}, []string{"gateways/v1beta1", "httproutes/v1beta1", "tlsroutes/v1alpha2", "xlistenersets/v1alpha1"}, nil,
			"GRPCRoute= Gateway=v1beta1 GatewayClass= HTTPRoute=v1beta1 ListenerSet= TLSRoute=v1alpha2 XListenerSet=v1alpha1", "", ""},
		"not asked for": {config.Options{}, all, nil, "", "", ""}, // what nobody asks for is not unread either
		"forbidden": {config.Options{Gateways: true}, []string{"gateways/v1", "httproutes/v1"}, map[string]error{"ingresses": errForbidden, "httproutes/v1": errUnavailable},
			"GRPCRoute= Gateway=v1 GatewayClass= HTTPRoute=v1 ListenerSet= TLSRoute= XListenerSet=",
			"httproutes.gateway.networking.k8s.io: cannot list and watch; ingresses.networking.k8s.io: list and watch is forbidden", ""},
		"silent": {config.Options{}, nil, nil, "", "ingresses.networking.k8s.io: cannot be read", "ingresses"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI()
				api.objects = fakeState()
				api.offer(tc.offered...)
				api.hung = tc.hung
				for resource, err := range tc.refused {
					api.refuse(resource, err)
				}
				i, err := inspected(t, t.Context(), api, tc.options)
				if err != nil {
					t.Fatal(err)
				}
				var served, unread []string
				for _, s := range i.ServedKinds() {
					served = append(served, s.Kind+"="+s.Version)
				}
				if got := strings.Join(served, " "); got != tc.served {
					t.Errorf("got %s, want %s", got, tc.served)
				}
				for _, u := range i.Unavailable() {
					what, why, _ := strings.Cut(u.Message, ": ")
					if what != u.Resource {
						t.Errorf("%s: got %q", u.Resource, u.Message)
					}
					unread = append(unread, what+": "+strings.Split(why, ":")[0])
				}
				if got := strings.Join(unread, "; "); got != tc.unread {
					t.Errorf("got unread %q, want %q", got, tc.unread)
				}
			})
		})
	}
}

// Nothing is shown of an API server that does not answer, or not what a zone is made of.
func TestInspectionFails(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*fakeAPI)
		want   string
	}{
		"unreachable":               {func(a *fakeAPI) { a.answer(errRefused) }, "cannot reach the API server"},
		"Services forbidden":        {func(a *fakeAPI) { a.refuse("services", errForbidden) }, "services: list and watch is forbidden"},
		"EndpointSlices forbidden":  {func(a *fakeAPI) { a.refuse("endpointslices", errForbidden) }, "endpointslices.discovery.k8s.io: list and watch is forbidden"},
		"Services that never end":   {func(a *fakeAPI) { a.hung = "services" }, "services not read: it takes too long"},
		"Services that are refused": {func(a *fakeAPI) { a.refuse("services", apierrors.NewBadRequest("no")) }, "services not read: it takes too long"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := inspectedAPI(t)
				tc.change(api)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it takes too long"))
				defer cancel()
				if i, err := inspected(t, ctx, api, config.Options{}); i != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want an error with %q", err, tc.want)
				}
			})
		})
	}
}

// An API server is read as it answers, and whatever goes wrong is told.
func TestInspect(t *testing.T) {
	service, list := testService("shop/web", 1, "web.ex.org"), metav1.ListMeta{ResourceVersion: "1"}
	lists := map[string]any{
		"/api/v1/services":                         &corev1.ServiceList{ListMeta: list, Items: []corev1.Service{*service}},
		"/apis/discovery.k8s.io/v1/endpointslices": &discoveryv1.EndpointSliceList{ListMeta: list, Items: []discoveryv1.EndpointSlice{*sliceObject("shop/web", "web-1", "10.0.0.1")}},

		"/api/v1/namespaces/shop/services":                         &corev1.ServiceList{ListMeta: list},
		"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices": &discoveryv1.EndpointSliceList{ListMeta: list},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("sendInitialEvents") != "":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = json.NewEncoder(w).Encode(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
		case r.URL.Query().Get("watch") != "":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_ = json.NewEncoder(w).Encode(lists[r.URL.Path])
		}
	}))
	defer server.Close()
	options := config.Defaults()
	options.Zones, options.Ingresses, options.Gateways = []string{"minilb."}, false, false
	other := options
	other.Zones, other.Namespaces = []string{"lan."}, []string{"shop"}
	all, err := Inspect(t.Context(), &rest.Config{Host: server.URL}, Hooks{}, options, other)
	if err != nil {
		t.Fatal(err)
	}
	i := all[0]
	if got := strings.Join(all[1].Names(), " "); got != "web.ex.org. web.shop.lan." {
		t.Errorf("names of the other block are %q", got)
	}
	if got := strings.Join(i.Names(), " "); got != "web.ex.org. web.shop.minilb." {
		t.Errorf("names are %q", got)
	}
	expectClaimants(t, i, "web.ex.org.", "Service shop/web web.ex.org -> Service shop/web (shop/web)")
	if unread := i.Unavailable(); len(unread) > 0 {
		t.Errorf("of what nobody asks for: got %v", unread)
	}

	invalid := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: []byte("none")}}
	if i, err := Inspect(t.Context(), invalid, Hooks{}, options); i != nil || err == nil {
		t.Errorf("a client that cannot be made: got %v, %v", i, err)
	}
	refusing := &rest.Config{Host: server.URL, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }}
	var failure *kube.Error
	if i, err := Inspect(t.Context(), refusing, Hooks{}, options); i != nil || !errors.As(err, &failure) || failure.Kind != kube.Unreachable {
		t.Errorf("no server: got %v, %v", i, err)
	}
}

// When all is read nothing runs any longer, and a kind that is refused for no known reason is named.
func TestInspectionReads(t *testing.T) {
	for name, want := range map[string]string{"": "", "services": "services: cannot be read", "endpointslices": "endpointslices.discovery.k8s.io: cannot be read"} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects, api.hung = fakeState(), name
			b := connect(t, api, config.Options{})
			for _, h := range slices.Concat(b.tr.watching, b.tr.slices) {
				if h.Name == name {
					h.Set(informer.Forbidden)
				}
			}
			if got := fmt.Sprint(b.watcher.readOnce(t.Context())); got != cmp.Or(want, "<nil>") {
				t.Errorf("got %s, want %q", got, want)
			}
		})
	}
}

// What a large Service has come to be after the names were published is judged as well.
func TestInspectionMerges(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Update(testService("shop/web", 1, ""))
	b.sync()
	var all []string
	for addr := netip.MustParseAddr("10.1.0.1"); len(all) <= atOnce; addr = addr.Next() {
		all = append(all, addr.String()+" ---")
	}
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", all...))
	i := &DryRun{cluster: b.watcher.Cluster, translator: b.tr, index: b.index}
	i.judge()
	if web, _ := i.Service("shop", "web"); len(web.Endpoints) != len(all) || !web.Endpoints[0].Answered {
		t.Errorf("%d endpoints are not answered", len(web.Endpoints))
	}
}
