package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// hang makes the lists of a resource never end, of none if it is "".
func (a *fakeAPI) hang(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hung = resource
}

// finish ends the list that hangs, with all objects.
func (a *fakeAPI) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list(a.hung)
	a.hung = ""
}

// G7: a kind that comes late is not waited for, and routes of another kind are judged meanwhile.
func TestLateRoutes(t *testing.T) {
	for late, want := range map[string]string{"httproutes/v1": "tls.org.", "grpcroutes/v1": "tls.org.", "tlsroutes/v1": "http.org."} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects = gatewayState(t, "v1")
			api.offer()
			api.hang(late)
			b, stop := runBench(t, api, config.Options{Gateways: true})
			defer stop()
			synctest.Wait()
			api.offer(all...)
			nextLook(api)
			if got := b.tr.Unsynced(); got != nil {
				t.Errorf("%s late: waiting for %q", late, got)
			}
			b.want(want, "10.0.0.5")
		})
	}
}

// G7: when nobody tells that a late kind will not be had, what depends on it is judged without.
func TestLateParentsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer()
		api.hang("gateways/v1")
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		api.offer(all...)
		nextLook(api)
		time.Sleep(listTimeout + 2*time.Second)
		synctest.Wait()
		if lines := b.log.take(); !slices.Contains(lines, `I HTTPRoute shop/r: host "http.org" is not served: Gateway infra/gw cannot be read`) {
			t.Errorf("got the log %q", lines)
		}
	})
}

// G7: so it is when it could not be read before, and what depends on it has changed since.
func TestLateParentsHangAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAttachedBench(t, config.Options{})
		health := b.watcher.gatewayAPI.sets[object.KindListenerSet][""].health
		health.absent.Store(false)
		health.synced.Store(false)
		health.begin()
		health.fails(kube.Unreachable)
		time.Sleep(patience + time.Second)
		set := func(host string) {
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, host, toSet))
		}
		set("a.org")
		want := func(log ...string) {
			t.Helper()
			synctest.Wait()
			if got := b.log.take(); !slices.Equal(got, log) {
				t.Errorf("got the log %q, want %q", got, log)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.tr.run(ctx)
		want(`I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set cannot be read`)

		health.fails("") // a list begins, and does not end
		set("b.org")
		time.Sleep(5 * time.Second)
		want()
		time.Sleep(listTimeout)
		want(`I HTTPRoute shop/r: host "b.org" is not served: ListenerSet shop/set cannot be read`)
	})
}

// G7: Ingresses are not waited for forever either.
func TestIngressesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = fakeState()
		api.hang("ingresses")
		b, stop := runBench(t, api, config.Options{})
		defer stop()
		time.Sleep(listTimeout + 2*time.Second)
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.0.1")
	})
}

// While nothing happens, nothing is published.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		asked := 0 // once for each host each time
		_, stop := runBench(t, api, config.Options{Gateways: true}, func(b *bench) {
			b.tr.hooks.Covered = func(string) bool { asked++; return true }
		})
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		before := asked
		time.Sleep(time.Hour)
		synctest.Wait()
		if before == 0 || asked != before {
			t.Errorf("asked %d times in the first minute, %d times in the hour after", before, asked-before)
		}
	})
}

// G5, G6: a watch that finds its kind gone is heard while the API server is being asked, too;
// and however many are, it is asked once a second at most, and no more when all is to end.
func TestPokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true}, func(b *bench) { b.watcher.gatewayAPI.poke() })
		time.Sleep(reaction + 100*time.Millisecond)
		synctest.Wait()
		if asked := api.timesAsked(); asked != 2 {
			t.Errorf("asked %d times, want 2", asked)
		}
		for range 1000 {
			b.watcher.gatewayAPI.poke()
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		asked := api.timesAsked()
		if asked < 10 || asked > 13 {
			t.Errorf("asked %d times in eleven seconds", asked)
		}
		b.watcher.gatewayAPI.poke()
		synctest.Wait()
		stop()
		if again := api.timesAsked(); again > asked {
			t.Error("asked again at the end")
		}
	})
}

// A group's version that is gone between two requests is no failure: the next look tells.
func TestDiscoveryInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.log.take()
		api.silence(errAbsent)
		nextLook(api)
		api.silence(nil)
		nextLook(api)
		if lines := b.log.take(); len(lines) > 0 {
			t.Errorf("got the log %q", lines)
		}
	})
}

// What goes for good is told apart from XListenerSets that ListenerSets take the place of.
func TestReportGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		before := append(without("listenersets"), "xlistenersets/v1alpha1")
		api.offer(before...)
		b, stop := runBench(t, api, config.Options{Gateways: true})
		defer stop()
		synctest.Wait()
		b.log.take()
		for _, gone := range []string{"httproutes", "xlistenersets"} {
			before = slices.DeleteFunc(slices.Clone(before), func(r string) bool { return strings.HasPrefix(r, gone) })
			api.offer(before...)
			nextLook(api)
			nextLook(api)
			lines := b.log.take()
			if len(lines) != 1 || !strings.HasPrefix(lines[0], "I "+gone+".gateway.networking.") || !strings.HasSuffix(lines[0], ": no longer served; what they named is gone") {
				t.Errorf("got the log %q", lines)
			}
		}
	})
}

// The tables of the namespaces that are read, and of those alone: each is asked for once.
func TestGatewayAPINamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true, Namespaces: []string{"shop"}})
		defer stop()
		synctest.Wait()
		for resource, want := range map[string]string{"namespaces": "metadata.name=shop", "gateways/v1": "", "gatewayclasses/v1": ""} {
			if got, asked := api.selectors[resource]; !asked || got != want {
				t.Errorf("%s: got field selector %q, want %q", resource, got, want)
			}
		}
		if len(b.watcher.gatewayAPI.gateways) != 1 || b.watcher.gatewayAPI.gateways["shop"] == nil || b.watcher.gatewayAPI.gateways["shop"].namespace != "shop" {
			t.Errorf("got the tables %v", b.watcher.gatewayAPI.gateways)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects["gatewayclasses/v1"] = []runtime.Object{customObject(t, class)}
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true, Namespaces: []string{"infra", "shop"}})
		defer stop()
		synctest.Wait()
		var got []string
		for _, action := range b.watcher.gatewayAPI.dynamic.(*dynamicfake.FakeDynamicClient).Actions() {
			if resource := action.GetResource().Resource; action.GetVerb() == "watch" && (resource == "gateways" || resource == "gatewayclasses") {
				got = append(got, resource+" "+action.GetNamespace())
			}
		}
		slices.Sort(got)
		if want := []string{"gatewayclasses ", "gateways infra", "gateways shop"}; !slices.Equal(got, want) {
			t.Errorf("watches %q, want %q", got, want)
		}
		if classes := b.watcher.gatewayAPI.classes[corev1.NamespaceAll]; len(classes.subscribers) != 1 {
			t.Errorf("%d subscribers of one Translator", len(classes.subscribers))
		}
		if lines := b.log.take(); !slices.Contains(lines, "I Reading the Gateway API: gatewayclasses v1, gateways v1, listenersets v1, httproutes v1, grpcroutes v1, tlsroutes v1") {
			t.Errorf("got the log %q", lines)
		}
	})
}

// waited is a table that is waited for.
type waited struct {
	follower
	done *bool
}

func (w waited) wait() { *w.done = true }

// What run has started is over when it returns.
func TestGatewayAPIWaits(t *testing.T) {
	b := newBench(t, config.Options{Gateways: true})
	g, done := b.watcher.gatewayAPI, false
	g.tables = []follower{waited{done: &done}}
	g.discover = func(context.Context) (offer, error) { return nil, errors.New("too late") }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g.run(ctx); !done {
		t.Error("it returns before its tables are at rest")
	}
}
