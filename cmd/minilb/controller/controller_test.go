package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// TestMain keeps client-go from streaming lists, which its fakes cannot and typed ones do not say.
func TestMain(m *testing.M) {
	os.Setenv("KUBE_FEATURE_WatchListClient", "false")
	os.Exit(m.Run())
}

// buffer is a log that is written and read at a time.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newTest returns a Controller that writes to patch, and what it logs.
func newTest(t *testing.T, patch func(clienttesting.PatchAction) (*corev1.Service, error)) (*Controller, *buffer) {
	client := fake.NewClientset()
	client.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		service, err := patch(action.(clienttesting.PatchAction))
		return true, service, err
	})
	log := new(buffer)
	objects := cluster.NewForClients(&cluster.Clients{Core: client.CoreV1()}, nil)
	nothing := &podnetworks.Clients{Served: func(context.Context) (informer.Served, error) { return informer.Served{}, nil }}
	c, err := newController(client, nothing, objects, Options{Domain: "minilb", Class: "minilb", Version: "v1", Revision: "0123abc"}, slog.New(slog.NewTextHandler(log, nil)), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.queue.ShutDown)
	return c, log
}

func web(version int, hostname string) *corev1.Service {
	class := "minilb"
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "uid-1", ResourceVersion: strconv.Itoa(version)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: hostname}}}},
	}
}

// S11: what goes over the wire.
func TestWriteBody(t *testing.T) {
	var got clienttesting.PatchAction
	c, _ := newTest(t, func(action clienttesting.PatchAction) (*corev1.Service, error) {
		got = action
		return web(2, "web.shop.minilb"), nil
	})
	c.services[0].Add(web(1, ""))
	if err := c.sync(t.Context(), cache.ObjectName{Namespace: "shop", Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if got.GetPatchType() != types.ApplyPatchType || got.GetSubresource() != "status" {
		t.Errorf("got a patch of type %s on %q", got.GetPatchType(), got.GetSubresource())
	}
	const want = `{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","uid":"uid-1"},"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"}]}}}`
	if string(got.GetPatch()) != want {
		t.Errorf("got %s, want %s", got.GetPatch(), want)
	}
	options := got.(clienttesting.PatchActionImpl).PatchOptions
	if options.FieldManager != "minilb" || options.Force == nil || !*options.Force {
		t.Errorf("got options %+v", options)
	}
}

// S6, S12, M5, M8: which Services are written.
func TestSync(t *testing.T) {
	now := metav1.Now()
	tests := []struct {
		name   string
		change func(*corev1.Service)
		want   int
	}{
		{"ours", func(*corev1.Service) {}, 1},
		{"up to date", func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].Hostname = "web.shop.minilb" }, 0},
		{"of another class", func(s *corev1.Service) { *s.Spec.LoadBalancerClass = "metallb" }, 0},
		{"without class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = nil }, 0},
		{"deleted", func(s *corev1.Service) { s.DeletionTimestamp = &now }, 0},
		{"ignored", func(s *corev1.Service) { s.Labels = map[string]string{"minilb/ignore": "true"} }, 0},
		{"of another name", func(s *corev1.Service) { s.Name = "api" }, 0},
	}
	for _, tc := range tests {
		writes := 0
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { writes++; return web(2, ""), nil })
		service := web(1, "")
		tc.change(service)
		c.services[0].Add(service)
		if err := c.sync(t.Context(), cache.ObjectName{Namespace: "shop", Name: "web"}); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if writes != tc.want {
			t.Errorf("%s: %d writes, want %d", tc.name, writes, tc.want)
		}
	}
}

// S12: whoever overwrites us too often has his way for a while, and then not.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, pause = maxOverwrites, conflictPause
		var version, writes atomic.Int64
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			writes.Add(1)
			return web(int(version.Add(1)), "web.shop.minilb"), nil
		})
		wrote := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := writes.Swap(0); got != want {
				t.Errorf("%s: %d writes, want %d", when, got, want)
			}
		}
		overwrite := func() {
			service := web(int(version.Add(1)), "rival.example.org")
			at := metav1.Now()
			service.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "rival", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{}}}`)}}
			c.services[0].Update(service)
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		working.Go(func() { c.work(ctx) })

		overwrite()
		for range limit {
			overwrite()
		}
		wrote("within the limit", limit+1)
		overwrite()
		overwrite()
		time.Sleep(pause - time.Second)
		wrote("during the pause", 0)
		if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), "service=shop/web other=rival paused=10m0s") {
			t.Errorf("want one warning that names the rival, got\n%s", log)
		}
		time.Sleep(2 * time.Second)
		wrote("after the pause", 1)
		cancel()
		c.queue.ShutDown()
		working.Wait()
	})
}

// Run does its work, and when it returns nothing of it is left: synctest fails the test for a
// goroutine that is.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int64
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			writes.Add(1)
			return web(2, "web.shop.minilb"), nil
		})
		var out buffer
		c.out = &out
		c.options.Resync = time.Minute
		if _, err := c.client.CoreV1().Services("shop").Create(t.Context(), web(1, ""), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := writes.Load(); got != 1 || !c.services.known() {
			t.Errorf("%d writes, synced %v; want 1, true", got, c.services.known())
		}
		// The cache still has the old status: each resync tries again.
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := writes.Load(); got != 4 {
			t.Errorf("%d writes after three resyncs, want 4", got)
		}
		if got, want := out.String(), "Add the following routes to your default gateway (router):\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, action := range c.client.(*fake.Clientset).Actions() {
			selector := ""
			switch request := action.(type) {
			case clienttesting.ListAction:
				selector = request.GetListRestrictions().Fields.String()
			case clienttesting.WatchAction:
				selector = request.GetWatchRestrictions().Fields.String()
			}
			if action.Matches("list", "services") || action.Matches("watch", "services") {
				if selector != "spec.type=LoadBalancer" {
					t.Errorf("%s services: got field selector %q", action.GetVerb(), selector)
				}
			}
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// S12: what is gone, or none of ours any more, has no history.
func TestSyncForgets(t *testing.T) {
	name := cache.ObjectName{Namespace: "shop", Name: "web"}
	for step, end := range map[string]func(*Controller){
		"deleted":          func(c *Controller) { c.services[0].Delete(web(3, "")) },
		"of another class": func(c *Controller) { s := web(3, ""); *s.Spec.LoadBalancerClass = "metallb"; c.services[0].Update(s) },
	} {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return web(2, "web.shop.minilb"), nil })
		c.services[0].Add(web(1, ""))
		for _, want := range []int{1, 0} {
			if err := c.sync(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if got := len(c.conflicts.byName); got != want {
				t.Errorf("%s: %d Services are remembered, want %d", step, got, want)
			}
			end(c)
		}
	}
}

// S8, S11: a write that came too late is dropped, any other failure is an error; each counts.
func TestSyncResults(t *testing.T) {
	resource := schema.GroupResource{Resource: "services"}
	for result, err := range map[string]error{
		resultSuccess: nil,
		resultDropped: apierrors.NewNotFound(resource, "web"),
		resultError:   apierrors.NewForbidden(resource, "web", errors.New("no")),
	} {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return web(2, "web.shop.minilb"), err })
		c.services[0].Add(web(1, ""))
		got := c.sync(t.Context(), cache.ObjectName{Namespace: "shop", Name: "web"})
		if (got != nil) != (result == resultError) {
			t.Errorf("%s: got error %v", result, got)
		}
		for _, of := range []string{resultSuccess, resultDropped, resultError} {
			want := 0.0
			if of == result {
				want = 1
			}
			if got := testutil.ToFloat64(c.writes.WithLabelValues(of)); got != want {
				t.Errorf("%s: %v writes count as %s, want %v", result, got, of, want)
			}
		}
	}
}

// Run returns when the writes on their way have come back.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Bool
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			started.Store(true)
			time.Sleep(5 * time.Second)
			ended.Store(true)
			return web(2, "web.shop.minilb"), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.Run(ctx) }()
		time.Sleep(time.Second)
		c.services[0].Add(web(1, ""))
		synctest.Wait()
		cancel()
		if err := <-result; err != nil || !started.Load() || !ended.Load() {
			t.Errorf("got %v, with a write that started %v and ended %v", err, started.Load(), ended.Load())
		}
	})
}

// Waiting lasts until the Services are known and all of them are written.
func TestWaitIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			time.Sleep(time.Second)
			return web(2, "web.shop.minilb"), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		idle := make(chan time.Duration, 1)
		go func() {
			if c.waitIdle(ctx) {
				idle <- time.Since(began)
			}
		}()
		time.Sleep(10 * time.Second)
		if len(idle) > 0 {
			t.Error("it did not wait for the first list")
		}
		const services = 5
		for i := range services {
			service := web(1, "")
			service.Name = "web-" + strconv.Itoa(i)
			c.services[0].Add(service)
		}
		c.services[0].Set(informer.Listed)
		var working sync.WaitGroup
		working.Go(func() { c.work(ctx) })
		// The last one is in hand, and waits no more.
		if got := <-idle; got < (10+services-1)*time.Second || got > (10+services)*time.Second {
			t.Errorf("idle after %v, with writes from the tenth second on that take %d s", got, services)
		}
		cancel()
		if c.waitIdle(ctx) {
			t.Error("idle after the end")
		}
		c.queue.ShutDown()
		working.Wait()
	})
}
