package routes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// noResources are the Clients of an API server that serves nothing of CNIs.
var noResources = &podnetworks.Clients{Served: func(context.Context) (informer.Served, error) { return informer.Served{}, nil }}

// watchNodes is Watch of such a server.
func watchNodes(ctx context.Context, client kubernetes.Interface, warn func(string), update func([]Entry) error) error {
	return watchAll(ctx, client, noResources, warn, update)
}

func watchAll(ctx context.Context, client kubernetes.Interface, clients *podnetworks.Clients, warn func(string), update func([]Entry) error) error {
	return Watch(ctx, client, clients, LAN{}, Hooks{
		Update: update, Warn: warn, Chosen: func(podnetworks.Choice) {}, Outside: func(podnetworks.Choice, []PodOutsidePodCIDR, error) {},
	})
}

// listed is of a list that an API server has made.
var listed = metav1.ListMeta{ResourceVersion: "1"}

// TestMain keeps client-go from streaming lists, which its fakes cannot and typed ones do not say.
func TestMain(m *testing.M) {
	os.Setenv("KUBE_FEATURE_WatchListClient", "false")
	os.Exit(m.Run())
}

// Nothing is known before the first whole list, and an outage is reported each ten minutes, and its end.
func TestWatchOutage(t *testing.T) {
	handlers := utilruntime.ErrorHandlers // one takes the bubble's clock for one that goes wrong
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(node("a", "10.244.0.0/24", "192.168.1.30"))
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.NodeList{ListMeta: listed, Items: []corev1.Node{*node("a", "10.244.0.0/24", "192.168.1.30")}}, nil
		})
		var away atomic.Bool
		away.Store(true)
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		clients := &podnetworks.Clients{Served: func(context.Context) (informer.Served, error) {
			if away.Load() {
				return nil, errors.New("connection refused")
			}
			return informer.Served{}, nil
		}}
		var told, updates []string
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			err := watchAll(ctx, client, clients, func(line string) { told = append(told, line) }, func(entries []Entry) error {
				updates = append(updates, replaced(entries))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if len(told) != 3 || told[0] != told[1] || told[1] != told[2] || !strings.HasPrefix(told[0], "cannot reach the API server: ") ||
			!strings.HasSuffix(told[0], "; retrying, and the routes stay as they are") || len(updates) > 0 {
			t.Errorf("away: got %q and %q", told, updates)
		}
		away.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(told) != 4 || told[3] != "The API server answers again" || len(updates) != 1 || updates[0] != "ip route replace 10.244.0.0/24 via 192.168.1.30\n" {
			t.Errorf("back: got %q and %q", told, updates)
		}
		cancel()
		running.Wait()
	})
}

// What happens to nodes is told when it changes a route, and only then. M8, R1
func TestWatch(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		hidden := func(name string) *corev1.Node {
			n := node(name, "10.244.9.0/24", "192.168.1.39")
			n.Labels = map[string]string{"minilb/ignore": "true"}
			return n
		}
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.NodeList{ListMeta: listed, Items: []corev1.Node{*node("a", "10.244.0.0/24", "192.168.1.30"), *hidden("x")}}, nil
		})
		events := watch.NewFake()
		client.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) { return true, events, nil })
		var updates []string
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			err := watchNodes(ctx, client, func(line string) { t.Error(line) }, func(entries []Entry) error {
				updates = append(updates, replaced(entries))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		const a, b, moved = "ip route replace 10.244.0.0/24 via 192.168.1.30\n", "ip route replace 10.244.1.0/24 via 192.168.1.31\n", "ip route replace 10.244.1.0/24 via 192.168.1.41\n"
		for _, step := range []struct {
			name   string
			change func()
			want   []string
		}{
			{"the first list", func() {}, []string{a}},
			{"a heartbeat", func() {
				n := node("a", "10.244.0.0/24", "192.168.1.30")
				n.Annotations = map[string]string{"x": "y"}
				events.Modify(n)
			}, nil},
			{"an ignored node", func() { events.Add(hidden("y")) }, nil},
			{"that goes", func() { events.Delete(hidden("y")) }, nil},
			{"a node", func() { events.Add(node("b", "10.244.1.0/24", "192.168.1.31")) }, []string{a + b}},
			{"that moves", func() { events.Modify(node("b", "10.244.1.0/24", "192.168.1.41")) }, []string{a + moved}},
			{"that is ignored", func() { events.Modify(hidden("b")) }, []string{a}},
			{"that is not any longer", func() { events.Modify(node("b", "10.244.1.0/24", "192.168.1.31")) }, []string{a + b}},
			{"a second InternalIP", func() { events.Modify(node("b", "10.244.1.0/24", "192.168.1.31 192.168.2.31")) }, []string{a + b}}, // R22
			{"one in its podCIDR", func() { events.Add(node("c", "", "10.244.1.9")) }, []string{a + // R7
				"# node b: podCIDR 10.244.1.0/24 contains 10.244.1.9, the InternalIP of node c: a route would cut it off\n# node c: no podCIDRs: nothing has set any\n"}},
			{"that goes", func() { events.Delete(node("c", "", "")) }, []string{a + b}},
			{"one that goes", func() { events.Delete(node("a", "10.244.0.0/24", "192.168.1.30")) }, []string{b}},
		} {
			step.change()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if !slices.Equal(updates, step.want) {
				t.Errorf("%s: got %q, want %q", step.name, updates, step.want)
			}
			updates = nil
		}
		cancel()
		running.Wait()
	})
}

// R7b, R21: nodes that change all the time are followed once a second, with what is the last; and the API server
// that has moved is noticed.
func TestWatchPaced(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.NodeList{ListMeta: listed, Items: []corev1.Node{*node("a", "10.244.0.0/24", "192.168.1.30")}}, nil
		})
		servers := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}}
		var mu sync.Mutex
		client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			return true, &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{*servers.DeepCopy()}}, nil
		})
		events := watch.NewFake()
		client.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
			mu.Lock()
			defer mu.Unlock()
			return true, events, nil
		})
		var updates []string
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := watchNodes(ctx, client, func(line string) { t.Error(line) }, func(entries []Entry) error {
				updates = append(updates, replaced(entries))
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Minute)
		const a = "ip route replace 10.244.0.0/24 via 192.168.1.30\n"
		for i := range 60000 {
			events.Modify(node("b", "10.244.1.0/24", fmt.Sprintf("192.168.1.%d", 31+i%2)))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(updates); n > 75 || updates[0] != a || updates[n-1] != a+"ip route replace 10.244.1.0/24 via 192.168.1.32\n" {
			t.Errorf("%d updates in a minute, the last is %q", n, updates[n-1])
		}
		if time.Sleep(time.Minute); len(updates) > 75 {
			t.Errorf("%d updates", len(updates))
		}

		mu.Lock()
		ended := events
		events = watch.NewFake() // the API server ends watches now and then
		servers.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.9"}}}
		mu.Unlock()
		ended.Stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if last := updates[len(updates)-1]; !strings.HasPrefix(last, "# node a: podCIDR 10.244.0.0/24 contains 10.244.0.9, the address of the API server") {
			t.Errorf("with the API server in a podCIDR: got %q", last)
		}
		cancel()
		running.Wait()
	})
}

// Nodes are listed as they are now, not as some API server remembers them: one that is missing there
// would lose its routes for a moment.
func TestWatchListsAnew(t *testing.T) {
	client := fake.NewClientset()
	var asked []string
	client.PrependReactor("list", "nodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		options := action.(clienttesting.ListActionImpl).ListOptions
		asked = append(asked, fmt.Sprintf("%d of %q", options.Limit, options.ResourceVersion))
		return true, &corev1.NodeList{ListMeta: listed}, nil
	})
	done := errors.New("done")
	if err := watchNodes(t.Context(), client, func(string) {}, func([]Entry) error { return done }); !errors.Is(err, done) {
		t.Error(err)
	}
	if got := strings.Join(asked, " "); got != `10 of ""` {
		t.Errorf("asked for %s, want the latest, in small pages", got)
	}
}

// Nodes that may be listed and not watched are an outage, too, and known all the same; what ends a watch
// as a matter of course is none.
func TestWatchWatchRefused(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	nodes := schema.GroupResource{Resource: "nodes"}
	for _, tc := range []struct {
		name string
		err  error
		told []string
	}{
		{"forbidden", apierrors.NewForbidden(nodes, "", errors.New("no")), []string{"nodes: list and watch is forbidden"}},
		{"away", errors.New("connection refused"), []string{"cannot reach the API server", "The API server answers again", "nodes: cannot reach the API server"}},
		{"a version that is gone", apierrors.NewResourceExpired("old"), nil},
		{"a version, in old words", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 410, Reason: metav1.StatusReasonGone}}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &corev1.NodeList{ListMeta: listed}, nil
			})
			client.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) { return true, nil, tc.err })
			var told []string
			updates := 0
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				err := watchNodes(ctx, client, func(line string) { told = append(told, line) }, func([]Entry) error { updates++; return nil })
				if err != nil {
					t.Error(err)
				}
			})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !slices.EqualFunc(told, tc.told, strings.HasPrefix) || updates != 1 {
				t.Errorf("%s: got %q and %d updates, want %q and one", tc.name, told, updates, tc.told)
			}
			cancel()
			running.Wait()
		})
	}
}

// An error of update ends it.
func TestWatchFails(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &corev1.NodeList{ListMeta: listed}, nil
	})
	broken := errors.New("broken pipe")
	if err := watchNodes(t.Context(), client, func(string) {}, func([]Entry) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
