package translator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// viewed reads all that there is of the API, once. It is to be called in a bubble.
func viewed(t *testing.T, ctx context.Context, api *fakeAPI, options config.Options) (*View, error) {
	t.Helper()
	b := connect(t, api, options)
	b.watcher.RequireAll()
	if err := b.watcher.ReadOnce(ctx); err != nil {
		return nil, err
	}
	return b.tr.View(), nil
}

// G3: in which version each kind is read, and what of it cannot be.
func TestViewUnavailable(t *testing.T) {
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
				i, err := viewed(t, t.Context(), api, tc.options)
				if err != nil {
					t.Fatal(err)
				}
				var served, unread []string
				versions := i.translator.cluster.Versions()
				for _, kind := range slices.Sorted(maps.Keys(versions)) {
					served = append(served, kind+"="+versions[kind])
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
func TestReadOnceFails(t *testing.T) {
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
				api := newFakeAPI()
				api.objects = gatewayState(t, "v1")
				api.offer(all...)
				tc.change(api)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it takes too long"))
				defer cancel()
				if i, err := viewed(t, ctx, api, config.Options{}); i != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want an error with %q", err, tc.want)
				}
			})
		})
	}
}

// When all is read nothing runs any longer, and a kind that is refused for no known reason is named.
func TestReadOnce(t *testing.T) {
	for name, want := range map[string]string{"": "", "services": "services: cannot be read", "endpointslices": "endpointslices.discovery.k8s.io: cannot be read"} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects, api.hung = fakeState(), name
			b := connect(t, api, config.Options{})
			for _, h := range b.tr.required {
				if h.Name == name {
					h.Set(informer.Forbidden)
				}
			}
			if got := fmt.Sprint(b.watcher.ReadOnce(t.Context())); got != cmp.Or(want, "<nil>") {
				t.Errorf("got %s, want %q", got, want)
			}
		})
	}
}

// What a large Service has come to be after the names were published is shown as well.
func TestViewMerges(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Update(testService("shop/web", 1, ""))
	b.sync()
	var all []string
	for addr := netip.MustParseAddr("10.1.0.1"); len(all) <= atOnce; addr = addr.Next() {
		all = append(all, addr.String()+" ---")
	}
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", all...))
	if web, _ := b.tr.View().Service("shop", "web"); len(web.Endpoints) != len(all) || !web.Endpoints[0].Answered {
		t.Errorf("%d endpoints are not answered", len(web.Endpoints))
	}
}
