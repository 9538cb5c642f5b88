package translator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// without returns what a release serves but for the resources that begin so.
func without(prefix string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(r string) bool { return strings.HasPrefix(r, prefix) })
}

// nextLook waits until the API server has been asked what it serves.
func nextLook(api *fakeAPI) {
	for asked := api.timesAsked(); api.timesAsked() == asked; {
		time.Sleep(100 * time.Millisecond)
	}
	synctest.Wait()
}

// silence makes discovery fail from now on, or work again.
func (a *fakeAPI) silence(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = err
}

// streaming makes the watches of HTTPRoutes what open returns.
func streaming(api *fakeAPI, open func() watch.Interface) func(*bench) {
	return func(*bench) {
		api.dynamic.PrependWatchReactor("httproutes", func(clienttesting.Action) (bool, watch.Interface, error) {
			return true, open(), nil
		})
	}
}

var errUnavailable = apierrors.NewServiceUnavailable("starting")

// G7: whichever optional kind fails, or discovery itself, the zones are answered for before
// the default startup_timeout of five seconds is over.
func TestWaitingForWhatFails(t *testing.T) {
	for _, what := range []string{"discovery", "tlsroutes/v1", "ingresses", "namespaces", "gateways/v1"} {
		for _, err := range []error{errUnavailable, errForbidden, errors.New("dial tcp: connection refused")} {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI()
				api.objects = gatewayState(t, "v1")
				api.offer(all...)
				if what == "discovery" {
					api.silence(err)
				} else {
					api.refuse(what, err)
				}
				start := time.Now()
				b, stop := runBench(t, api, config.Options{Gateways: true})
				defer stop()
				for !b.index.Synced() {
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s fails by %v: synced after %v", what, err, took)
				}
				b.want("web.shop.minilb.", "10.0.0.1")
				if lines := b.log.take(); !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "W ") && !strings.Contains(line, "bad_host") }) {
					t.Errorf("%s fails by %v: synced without a word of it: %q", what, err, lines)
				}
			})
		}
	}
}

// G7: neither is one waited for that never ends, or that breaks off each time.
func TestWaitingForWhatHangs(t *testing.T) {
	broken := &metav1.Status{Status: metav1.StatusFailure, Code: 500, Reason: metav1.StatusReasonInternalError, Message: "cannot convert"}
	for name, open := range map[string]func() watch.Interface{
		"hangs": func() watch.Interface { return watch.NewRaceFreeFake() },
		"breaks off": func() watch.Interface {
			w := watch.NewRaceFreeFake()
			w.Action(watch.Error, broken)
			return w
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects = gatewayState(t, "v1")
			api.offer(all...)
			b, stop := runBench(t, api, config.Options{Gateways: true}, streaming(api, open))
			defer stop()
			time.Sleep(listTimeout + 2*time.Second)
			synctest.Wait()
			b.want("web.shop.minilb.", "10.0.0.1")
			b.want("tls.org.", "10.0.0.5")
			if lines := b.log.take(); len(lines) > 6 {
				t.Errorf("%s: got the log %q", name, lines)
			}
		})
	}
}

// G7: when it turns out late what there is, Services are answered for all the same.
func TestWaitingForLateDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		api.silence(errUnavailable)
		b, stop := runBench(t, api, config.Options{Gateways: true}, streaming(api, func() watch.Interface { return watch.NewRaceFreeFake() }))
		defer stop()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.0.1")
		api.silence(nil)
		nextLook(api)
		api.send("services", watch.Added, testService("shop/new", 1, ""))
		api.send("services", watch.Deleted, testService("shop/web", 1, ""))
		synctest.Wait()
		b.want("new.shop.minilb.", "")
		b.want("web.shop.minilb.", "-")
	})
}

// G21: routes of kinds that come late are not judged before it is known by what; and
// nothing untrue is said meanwhile.
func TestWaitingForParents(t *testing.T) {
	for _, late := range []string{"gateways/v1", "gatewayclasses/v1", "listenersets/v1"} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects = gatewayState(t, "v1")
			api.objects["tlsroutes/v1"] = []runtime.Object{customObject(t, strings.Replace(routeOf(object.KindTLSRoute, "tls.org", toGateway), "example.org/ctl", "example.org/other", 1))}
			api.offer()
			api.refuse(late, errUnavailable)
			b, stop := runBench(t, api, config.Options{Gateways: true})
			defer stop()
			synctest.Wait()
			api.offer(all...)
			nextLook(api)
			time.Sleep(time.Second)
			synctest.Wait()
			b.want("http.org.", "-")
			b.want("tls.org.", "-")
			api.refuse(late, nil)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			b.want("http.org.", "10.0.0.5")
			b.want("tls.org.", "-") // whose controller is another one
			for _, line := range b.log.take() {
				if strings.Contains(line, "does not exist") || strings.Contains(line, "http.org") {
					t.Errorf("%s late: it says %q", late, line)
				}
			}
		})
	}
}

// C2: no claim of a kind counts before all are known: the oldest may be the last of the list.
func TestWaitingForAllClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		claims := func(namespace, created string) runtime.Object {
			return customObject(t, fmt.Sprintf("metadata: {name: r, namespace: %s, creationTimestamp: %q, annotations: {minilb/service: shop/web}}\n"+
				"spec: {hostnames: [bank.org], parentRefs: [%s]}\nstatus: {parents: [{parentRef: %s, controllerName: example.org/ctl, %s}]}", namespace, created, toGateway, toGateway, accepted))
		}
		api.objects["tlsroutes/v1"] = []runtime.Object{claims("evil", "2026-06-01T00:00:00Z"), claims("shop", "2026-01-01T00:00:00Z")}
		api.offer()
		b, stop := runBench(t, api, config.Options{Gateways: true}, func(b *bench) {
			routes := b.watcher.Routes(object.KindTLSRoute, "")
			routes.Subscribe(func(_, _ *object.Route) {
				time.Sleep(time.Second) // the Translator runs meanwhile
				b.want("bank.org.", "-")
			})
		})
		defer stop()
		synctest.Wait()
		// The list comes when all that reads has been started: whoever waits for the table while the
		// subscriber sleeps does so by a lock, at which the clock of the bubble stands still.
		api.hang("tlsroutes/v1")
		api.offer(all...)
		nextLook(api)
		api.finish()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		b.want("bank.org.", "10.0.0.1")
	})
}

// What may not be read is not said to be absent.
func TestWaitingForbiddenParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		api.refuse("gateways/v1", errForbidden)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if lines := b.log.take(); !slices.Contains(lines, `I HTTPRoute shop/r: host "http.org" is not served: Gateway infra/gw cannot be read`) {
			t.Errorf("got the log %q", lines)
		}
		api.refuse("gateways/v1", nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
	})
}

// G5: a kind that is missing from one answer alone stays, whichever others are missing from
// the next; and one is asked for twice with a pause, whoever is in a hurry.
func TestWaitingForConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		api.offer(without("tlsroutes")...)
		nextLook(api)
		api.offer(without("httproutes")...)
		nextLook(api)
		api.offer(all...)
		b.want("http.org.", "10.0.0.5")
		b.want("tls.org.", "10.0.0.5")
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want("http.org.", "10.0.0.5")
		b.want("tls.org.", "10.0.0.5")

		api.offer(without("httproutes")...)
		nextLook(api)
		start := time.Now()
		b.watcher.Discovery().Trigger()
		for b.addrs("http.org.") != "-" {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(start); took < confirmation-200*time.Millisecond || took > confirmation+200*time.Millisecond {
			t.Errorf("taken for gone after %v, want %v", took, confirmation)
		}
	})
}

// G3: ListenerSets that come to be served, whether they may be read or not, take nothing from routes at
// XListenerSets, and add theirs. XListenerSets go by themselves.
func TestWaitingForListenerSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.objects["gateways/v1"] = []runtime.Object{customObject(t, strings.Split(gatewayWith(letsIn), "---")[1])}
		set := strings.TrimSuffix(strings.TrimSpace(theSet), "---")
		api.objects["listenersets/v1"] = []runtime.Object{customObject(t, set)}
		api.objects["xlistenersets/v1alpha1"] = []runtime.Object{customObject(t, strings.Replace(set, "kind: ListenerSet", "kind: XListenerSet", 1))}
		api.objects["httproutes/v1"] = []runtime.Object{
			customObject(t, routeOf(object.KindHTTPRoute, "old.set.org", "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: set}")),
			customObject(t, strings.Replace(routeOf(object.KindHTTPRoute, "new.set.org", toSet), "name: r,", "name: s,", 1)),
		}
		api.offer(append(without("listenersets"), "xlistenersets/v1alpha1")...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.want("old.set.org.", "10.0.0.5")
		b.want("new.set.org.", "-")
		b.log.take()
		api.refuse("listenersets/v1", errForbidden)
		api.offer(append(slices.Clone(all), "xlistenersets/v1alpha1")...)
		gone := false
		ask := func(seconds int) {
			for range 10 * seconds {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				gone = gone || b.addrs("old.set.org.") == "-"
			}
		}
		ask(90)
		b.want("new.set.org.", "-")
		api.refuse("listenersets/v1", nil)
		ask(90)
		if gone {
			t.Error("there was a gap")
		}
		b.want("new.set.org.", "10.0.0.5")
		api.offer(all...)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want("old.set.org.", "-")
		b.want("new.set.org.", "10.0.0.5")
		if lines := b.log.take(); !slices.Contains(lines, "I xlistenersets.gateway.networking.x-k8s.io: no longer served; what they named is gone") {
			t.Errorf("got the log %q", lines)
		}
	})
}

// One that has said no is not asked at the pace of one that does not answer.
func TestWaitingForDiscovery(t *testing.T) {
	for _, tc := range []struct {
		err  error
		from int // how often it is asked in a minute
		to   int
		line string
	}{
		{errForbidden, 3, 5, "W /apis/gateway.networking.k8s.io: get is forbidden: "},
		{errUnavailable, 29, 32, "W /apis/gateway.networking.k8s.io: cannot get: starting"},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.silence(tc.err)
			b, stop := runBench(t, api, config.Options{Gateways: true})
			defer stop()
			time.Sleep(time.Minute)
			synctest.Wait()
			if asked := api.timesAsked(); asked < tc.from || asked > tc.to {
				t.Errorf("%v: asked %d times", tc.err, asked)
			}
			if lines := b.log.take(); len(lines) != 1 || !strings.HasPrefix(lines[0], tc.line) {
				t.Errorf("got the log %q, want %q", lines, tc.line)
			}
		})
	}
}
