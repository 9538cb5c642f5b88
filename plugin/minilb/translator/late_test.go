package translator

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
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
		sets := b.watcher.ListenerSets(object.KindListenerSet, "").Status
		sets.Set(informer.NotServed)
		sets.Observe(t.Context(), errUnwell) // it is read from now on
		time.Sleep(optionalTimeout + time.Second)
		b.log.take()
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
		go b.tr.run(ctx, b.tr.publish)
		want(`I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set cannot be read`)

		sets.Observe(t.Context(), nil) // a list begins, and does not end
		b.log.take()
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

// A kind that stays forbidden is asked for each two seconds: nothing is resolved or written for that.
func TestQuietForbidden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.objects = gatewayState(t, "v1")
		api.offer(all...)
		for _, resource := range []string{"ingresses", "httproutes/v1"} {
			api.refuse(resource, errForbidden)
		}
		asked := 0 // once for each host each time
		_, stop := runBench(t, api, config.Options{Gateways: true}, keeping(path), func(b *bench) {
			b.tr.hooks.Covered = func(string) bool { asked++; return true }
		})
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		before := asked
		written, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(refreshInterval - 2*time.Minute)
		synctest.Wait()
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if before == 0 || asked != before || !os.SameFile(written, after) {
			t.Errorf("asked %d times in the first minute and %d times later; written again: %v", before, asked-before, !os.SameFile(written, after))
		}
	})
}

// G5, G6: a watch that finds its kind gone is heard while the API server is being asked, too;
// and however many are, it is asked once a second at most, and no more when all is to end.
func TestPokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.offer(all...)
		b, stop := runBench(t, api, config.Options{Gateways: true}, func(b *bench) { b.watcher.Discovery().Trigger() })
		time.Sleep(triggerPause + 100*time.Millisecond)
		synctest.Wait()
		if asked := api.timesAsked(); asked != 2 {
			t.Errorf("asked %d times, want 2", asked)
		}
		for range 1000 {
			b.watcher.Discovery().Trigger()
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		asked := api.timesAsked()
		if asked < 10 || asked > 13 {
			t.Errorf("asked %d times in eleven seconds", asked)
		}
		b.watcher.Discovery().Trigger()
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
		for _, s := range b.watcher.Watches {
			if s.Kind == "gateway" && s.Namespace != "shop" {
				t.Errorf("got a watch of %s", s)
			}
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
		for _, action := range api.dynamic.Actions() {
			if resource := action.GetResource().Resource; action.GetVerb() == "watch" && (resource == "gateways" || resource == "gatewayclasses") {
				got = append(got, resource+" "+action.GetNamespace())
			}
		}
		slices.Sort(got)
		if want := []string{"gatewayclasses ", "gateways infra", "gateways shop"}; !slices.Equal(got, want) {
			t.Errorf("watches %q, want %q", got, want)
		}
		if lines := b.log.take(); !slices.Contains(lines, "I Reading the Gateway API: gatewayclasses v1, gateways v1, listenersets v1, httproutes v1, grpcroutes v1, tlsroutes v1") {
			t.Errorf("got the log %q", lines)
		}
	})
}
