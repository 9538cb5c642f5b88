package translator

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

var errRefused = errors.New("dial tcp 192.0.2.1:6443: connect: connection refused")

// answer makes the API server answer all requests like this, as it does by itself for nil.
func (a *fakeAPI) answer(err error) {
	for _, resource := range append([]string{"services", "endpointslices", "ingresses", "namespaces", "xlistenersets/v1alpha1"}, all...) {
		a.refuse(resource, err)
	}
	a.silence(err)
}

// keeping lets a bench keep its state in a file.
func keeping(path string) func(*bench) {
	return func(b *bench) { b.watcher.KeepIn(path, func() bool { return true }) }
}

// gatewayAPIOf is an API server with a Service, Ingresses and routes.
func gatewayAPIOf(t *testing.T) *fakeAPI {
	api := newFakeAPI()
	api.objects = gatewayState(t, "v1")
	api.offer(all...)
	return api
}

// keptState returns the path of a snapshot of what the API server has.
func keptState(t *testing.T, api *fakeAPI, options config.Options) string {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		_, stop := runBench(t, api, options, keeping(path))
		defer stop()
		synctest.Wait()
	})
	return path
}

// restoring runs a bench that starts without its API server, and calls f when it has restored
// what was kept.
func restoring(t *testing.T, api *fakeAPI, options config.Options, path string, f func(*testing.T, *bench)) {
	synctest.Test(t, func(t *testing.T) {
		api.answer(errRefused)
		b, stop := runBench(t, api, options, keeping(path))
		defer stop()
		synctest.Wait()
		if !b.watcher.Unreachable() || !b.watcher.NeverAnswered() || b.watcher.Restored() || b.index.Synced() {
			t.Errorf("before: unreachable %v, silent %v, restored %v, synced %v", b.watcher.Unreachable(), b.watcher.NeverAnswered(), b.watcher.Restored(), b.index.Synced())
		}
		if !b.watcher.Restore() {
			t.Fatalf("not restored: %q", b.log.take())
		}
		synctest.Wait()
		f(t, b)
	})
}

// What was known is answered with until the API server says what has become of it.
func TestRestore(t *testing.T) {
	api := gatewayAPIOf(t)
	path := keptState(t, api, config.Options{Gateways: true})
	restoring(t, api, config.Options{Gateways: true}, path, func(t *testing.T, b *bench) {
		names := map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "a.ex.org.": "10.9.9.9", "s.ex.org.": "10.0.0.1", "http.org.": "10.0.0.5", "tls.org.": "10.0.0.5", "nope.shop.minilb.": "-"}
		for name, want := range names {
			b.want(name, want)
		}
		if unsynced := b.tr.Unsynced(); unsynced != nil || !b.index.Synced() || !b.watcher.Restored() {
			t.Errorf("unsynced %q, synced %v, restored %v", unsynced, b.index.Synced(), b.watcher.Restored())
		}
		for _, s := range b.watcher.Status() {
			if s.Synced {
				t.Errorf("%s is said to be synced", s.Kind)
			}
		}
		lines := b.log.take()
		serving := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, path) })
		if len(serving) != 1 || !strings.HasPrefix(serving[0], "W Serving the state of 2000-01-01T00:00:0") || !strings.HasSuffix(serving[0], "s old, until the API server answers") {
			t.Errorf("got the log %q", lines)
		}
		if !b.watcher.Snapshot.Clean() {
			t.Error("it is said to know more than its file")
		}
		if age, known := b.watcher.Snapshot.Age(); !known || age > time.Second {
			t.Errorf("got the age %v, %v", age, known)
		}
		time.Sleep(90 * time.Second)
		if age, known := b.watcher.Snapshot.Age(); !known || age < 90*time.Second || age > 91*time.Second {
			t.Errorf("after 90s: got the age %v, %v", age, known)
		}
		if len(b.observed) > 0 {
			t.Errorf("%d endpoints' latencies are observed", len(b.observed))
		}

		// It comes back, and something has gone meanwhile.
		delete(api.objects, "httproutes/v1")
		api.objects["ingresses"] = api.objects["ingresses"][1:]
		api.objects["services"] = []runtime.Object{testService("shop/new", 1, "web.ex.org")}
		api.answer(nil)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		maps.Copy(names, map[string]string{"web.shop.minilb.": "-", "new.shop.minilb.": "", "web.ex.org.": "", "a.ex.org.": "-", "s.ex.org.": "-", "http.org.": "-"})
		for name, want := range names {
			b.want(name, want)
		}
		if b.watcher.Restored() {
			t.Error("it is still restored")
		}
		for _, s := range b.watcher.Status() {
			if !s.Synced {
				t.Errorf("%s is not said to be synced", s.Kind)
			}
		}
		if lines := b.log.take(); !slices.Contains(lines, "I All that was served from the snapshot is now as the API server has it") {
			t.Errorf("got the log %q", lines)
		}
		if age, _ := b.watcher.Snapshot.Age(); age > 40*time.Second {
			t.Errorf("the snapshot is %v old", age)
		}
	})
}

// Kinds that the API server refuses to show, or does not serve any longer, are not served from
// the snapshot once it has said so; those that all depends on are.
func TestRestoreWithdrawn(t *testing.T) {
	served := map[string]string{"web.shop.minilb.": "10.0.0.1", "a.ex.org.": "10.9.9.9", "http.org.": "10.0.0.5", "tls.org.": "10.0.0.5"}
	for name, tc := range map[string]struct {
		change func(*fakeAPI)
		gone   []string
		stays  bool // something is still restored
	}{
		"no Gateway API":       {func(a *fakeAPI) { a.offer() }, []string{"http.org.", "tls.org."}, false},
		"no TLSRoutes":         {func(a *fakeAPI) { a.offer(without("tlsroutes")...) }, []string{"tls.org."}, false},
		"forbidden HTTPRoutes": {func(a *fakeAPI) { a.refuse("httproutes/v1", errForbidden) }, []string{"http.org."}, false},
		"forbidden Ingresses":  {func(a *fakeAPI) { a.refuse("ingresses", errForbidden) }, []string{"a.ex.org."}, false},
		"forbidden discovery":  {func(a *fakeAPI) { a.silence(errForbidden) }, []string{"http.org.", "tls.org."}, false},
		"failing HTTPRoutes":   {func(a *fakeAPI) { a.refuse("httproutes/v1", errUnavailable) }, nil, true},
		"failing discovery":    {func(a *fakeAPI) { a.silence(errUnavailable) }, nil, true},
		"forbidden Services":   {func(a *fakeAPI) { a.refuse("services", errForbidden) }, nil, true},
		"forbidden for a while": {func(a *fakeAPI) {
			a.refuse("ingresses", errForbidden)
			time.AfterFunc(forbiddenGrace/2, func() { a.refuse("ingresses", nil) })
		}, nil, false},
		"absent for a while": {func(a *fakeAPI) { a.offer(); time.AfterFunc(confirmation/2, func() { a.offer(all...) }) }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := gatewayAPIOf(t)
			path := keptState(t, api, config.Options{Gateways: true})
			restoring(t, api, config.Options{Gateways: true}, path, func(t *testing.T, b *bench) {
				api.answer(nil)
				tc.change(api)
				lost := map[string]bool{}
				for range 600 { // a minute
					time.Sleep(100 * time.Millisecond)
					for host, want := range served {
						lost[host] = lost[host] || b.addrs(host) != want
					}
				}
				for host := range served {
					if lost[host] != slices.Contains(tc.gone, host) {
						t.Errorf("%s: gone at some time %v", host, lost[host])
					}
					if lost[host] {
						b.want(host, "-")
					}
				}
				if b.watcher.Restored() != tc.stays || !b.index.Synced() {
					t.Errorf("restored %v, synced %v", b.watcher.Restored(), b.index.Synced())
				}
			})
		})
	}
}

// The part of the state that is known by then is not replaced by what is older.
func TestRestoreMixed(t *testing.T) {
	api := gatewayAPIOf(t)
	path := keptState(t, api, config.Options{Gateways: true})
	synctest.Test(t, func(t *testing.T) {
		api.answer(errRefused)
		api.refuse("services", nil)
		api.objects["services"] = []runtime.Object{testService("shop/web", 1, "")} // without its host
		b, stop := runBench(t, api, config.Options{Gateways: true}, keeping(path))
		defer stop()
		synctest.Wait()
		b.watcher.Restore()
		synctest.Wait()
		for name, want := range map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "-", "tls.org.": "10.0.0.5"} {
			b.want(name, want)
		}
		api.send("services", watch.Deleted, testService("shop/web", 1, ""))
		synctest.Wait()
		b.want("web.shop.minilb.", "-")
		if _, err := b.watcher.Snapshot.Flush(); err != nil || b.watcher.Snapshot.Clean() {
			t.Error("a part of the state is kept, or said to be")
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if after, _ := os.ReadFile(path); !slices.Equal(before, after) {
			t.Error("what is partly restored is kept")
		}
	})
}

// A snapshot of another configuration is used as far as it has what is needed, and not at all if
// its objects lack something.
func TestRestoreOptions(t *testing.T) {
	web, ingress, route := "web.shop.minilb.", "a.ex.org.", "tls.org."
	for name, tc := range map[string]struct {
		written, read config.Options
		host          string // the API server
		refused       string // why, "" if it is used
		want          map[string]string
		unsynced      string
	}{
		"the same":         {written: config.Options{Gateways: true}, read: config.Options{Gateways: true}, want: map[string]string{web: "10.0.0.1", ingress: "10.9.9.9", route: "10.0.0.5"}},
		"less":             {written: config.Options{Gateways: true}, want: map[string]string{web: "10.0.0.1", ingress: "10.9.9.9", route: "-"}},
		"more":             {read: config.Options{Gateways: true}, want: map[string]string{web: "10.0.0.1", ingress: "10.9.9.9", route: "-"}},
		"its namespace":    {written: config.Options{Gateways: true}, read: config.Options{Gateways: true, Namespaces: []string{"shop", "infra"}}, want: map[string]string{web: "10.0.0.1", ingress: "10.9.9.9", route: "10.0.0.5"}},
		"other namespace":  {read: config.Options{Namespaces: []string{"else"}}, want: map[string]string{web: "-", ingress: "-"}},
		"more namespaces":  {written: config.Options{Namespaces: []string{"shop"}}, want: map[string]string{ingress: "-"}, unsynced: "services, endpointslices.discovery.k8s.io"},
		"fewer annotation": {written: config.Options{HostAnnotations: []string{"minilb/host", "else/host"}}, want: map[string]string{web: "10.0.0.1", "web.ex.org.": "10.0.0.1"}},
		"more annotations": {read: config.Options{HostAnnotations: []string{"minilb/host", "else/host"}}, refused: `it was written without the host_annotations "else/host"`},
		"https":            {read: config.Options{HTTPS: true}, refused: "it was written without https"},
		"no https":         {written: config.Options{HTTPS: true}, want: map[string]string{web: "10.0.0.1"}},
		"class":            {read: config.Options{Class: "else"}, refused: `it was written without the class "else"`},
		"default class":    {read: config.Options{DefaultClass: true}, refused: "it was written without default_class"},
		"one class less":   {written: config.Options{DefaultClass: true}, want: map[string]string{web: "10.0.0.1"}},
		"other server":     {host: "https://other.example", refused: `it is of the API server "https://api.example", and not of "https://other.example"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := keptState(t, gatewayAPIOf(t), tc.written)
			synctest.Test(t, func(t *testing.T) {
				api := gatewayAPIOf(t)
				api.answer(errRefused)
				b, stop := runBench(t, api, tc.read, keeping(path), func(b *bench) {
					if tc.host != "" {
						b.clients.Host = tc.host
					}
				})
				defer stop()
				synctest.Wait()
				b.log.take()
				if used := b.watcher.Restore(); used != (tc.refused == "") {
					t.Errorf("used: %v", used)
				}
				synctest.Wait()
				if lines := b.log.take(); tc.refused != "" && !slices.Equal(lines, []string{"W Starting without snapshot " + path + ": " + tc.refused + ". It is replaced once the API server has been read"}) {
					t.Errorf("got the log %q", lines)
				}
				if tc.refused != "" {
					return
				}
				if got := strings.Join(b.tr.Unsynced(), ", "); got != tc.unsynced || b.index.Synced() != (got == "") {
					t.Errorf("unsynced %q, synced %v", got, b.index.Synced())
				}
				for name, want := range tc.want {
					b.want(name, want)
				}
			})
		})
	}
}

// What the API server says while the snapshot is being restored counts.
func TestRestoreOvertaken(t *testing.T) {
	for name, tc := range map[string]struct {
		offer []string
		http  string
	}{
		"Gateway API":    {all, "10.0.0.5"},
		"no Gateway API": {nil, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			api := gatewayAPIOf(t)
			path := keptState(t, api, config.Options{Gateways: true})
			synctest.Test(t, func(t *testing.T) {
				api.answer(errRefused)
				b, stop := runBench(t, api, config.Options{Gateways: true}, keeping(path), func(b *bench) {
					ingresses := b.watcher.Ingresses("")
					ingresses.Subscribe(func(_, _ *object.Ingress) {
						api.answer(nil)
						api.offer(tc.offer...)
						api.refuse("ingresses", errRefused) // these are locked
						time.Sleep(5 * time.Second)
					})
				})
				defer stop()
				synctest.Wait()
				b.watcher.Restore()
				if b.watcher.Snapshot.Clean() {
					t.Error("the snapshot is said to have what the API server has said")
				}
				time.Sleep(2 * confirmation)
				synctest.Wait()
				b.want("http.org.", tc.http)
				api.refuse("ingresses", nil)
				time.Sleep(2 * confirmation)
				synctest.Wait()
				if b.watcher.Restored() || !b.watcher.Snapshot.Clean() {
					t.Errorf("restored %v, kept %v", b.watcher.Restored(), b.watcher.Snapshot.Clean())
				}
			})
		})
	}
}
