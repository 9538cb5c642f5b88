package controller_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// classless is held by a test that has LoadBalancer Services without a class: -default-class takes those
// of all namespaces of the control plane.
var classless sync.Mutex

// lockClassless holds classless until the test has ended and its Services without a class are gone.
func lockClassless(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	classless.Lock()
	t.Cleanup(func() {
		defer classless.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		list, err := c.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
		if err != nil {
			t.Error(err)
			return
		}
		for _, service := range list.Items {
			if service.Spec.LoadBalancerClass != nil {
				continue
			}
			err := c.Client.CoreV1().Services(service.Namespace).Delete(ctx, service.Name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) { // its namespace is going
				t.Error(err)
			}
		}
	})
}

// S1, S2, S3, S4, S6, S11, S14
func TestControllerWritesHostname(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace, "-domain", "Home.Example.ORG.").WaitReady(t)
	harness.CreateService(t, c, namespace, "web", namespace)
	harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+".home.example.org")

	service := harness.GetService(t, c, namespace, "web")
	owns := slices.ContainsFunc(service.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == "minilb" && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "status"
	})
	if !owns || len(service.Finalizers) > 0 {
		t.Errorf("got managed fields %v and finalizers %v, want the status applied by minilb and none", service.ManagedFields, service.Finalizers)
	}
	expectMetrics := func(want ...string) {
		t.Helper()
		cluster.Eventually(t, 5*time.Second, func() error { // a write counts when it has been answered
			_, metrics := harness.Get(p.URL + "/metrics")
			for _, line := range want {
				if !strings.Contains(metrics, line+"\n") {
					return fmt.Errorf("/metrics lacks %q", line)
				}
			}
			return nil
		})
	}
	expectMetrics("minilb_services 1", `minilb_status_writes_total{result="success"} 1`)
	harness.ExpectUntouched(t, c, namespace, service)               // S12
	expectMetrics(`minilb_status_writes_total{result="success"} 3`) // with the two markers
	p.Untroubled(t)
}

// S6, S7, S9, S10, S12, M5, M8
func TestControllerLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	lockClassless(t, c)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace, "-resync", "1", "-v").WaitReady(t)

	ignored := map[string]string{"minilb/ignore": "true"}
	harness.CreateService(t, c, namespace, "other-class", "example.org/other")
	others := []*corev1.Service{
		harness.Overwrite(t, c, namespace, "other-class", corev1.LoadBalancerIngress{IP: "192.0.2.7"}),
		harness.CreateService(t, c, namespace, "without-class", ""),
		harness.CreateService(t, c, namespace, "cluster-ip", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }),
		harness.CreateService(t, c, namespace, "node-port", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }),
		harness.CreateService(t, c, namespace, "ignored", namespace, func(s *corev1.Service) { s.Labels = ignored }),
	}
	// M5: deleted, and kept by somebody's finalizer until then.
	harness.CreateService(t, c, namespace, "deleted", namespace, func(s *corev1.Service) { s.Finalizers = []string{"example.org/keep"} })
	harness.ExpectStatus(t, c, namespace, "deleted", "deleted."+namespace+".minilb")
	services := c.Client.CoreV1().Services(namespace)
	harness.Must(t, services.Delete(t.Context(), "deleted", metav1.DeleteOptions{}))
	t.Cleanup(func() {
		services.Patch(context.Background(), "deleted", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	others = append(others, harness.Overwrite(t, c, namespace, "deleted", corev1.LoadBalancerIngress{Hostname: "rival.example.org"}))
	// resynced waits until each Service has been looked at again, whether or not it has changed.
	resynced := func() {
		t.Helper()
		const text = "resync of all Services" // logged before
		before := len(p.Stderr.Lines(text))
		cluster.Eventually(t, 20*time.Second, func() error {
			if n := len(p.Stderr.Lines(text)); n < before+2 {
				return fmt.Errorf("%d resyncs since\n%s", n-before, p.Stderr)
			}
			return nil
		})
	}
	resynced()
	harness.ExpectUntouched(t, c, namespace, others...)
	p.Untroubled(t)

	// M8: what is not ignored any more is ours again, and what becomes ignored keeps its status.
	_, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.ExpectStatus(t, c, namespace, "ignored", "ignored."+namespace+".minilb")
	again, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	resynced()
	harness.ExpectUntouched(t, c, namespace, again)
}

// S6, S7: a Service without a class is taken on demand, one of another class never.
func TestControllerDefaultClass(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	lockClassless(t, c)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace, "-default-class").WaitReady(t)
	other := harness.CreateService(t, c, namespace, "other", "example.org/other")
	harness.CreateService(t, c, namespace, "ours", namespace)
	harness.CreateService(t, c, namespace, "without", "")
	harness.ExpectStatus(t, c, namespace, "ours", "ours."+namespace+".minilb")
	harness.ExpectStatus(t, c, namespace, "without", "without."+namespace+".minilb")
	harness.ExpectUntouched(t, c, namespace, other)

	// S7: the class can be chosen with the switch to LoadBalancer.
	harness.CreateService(t, c, namespace, "late", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	_, err := c.Client.CoreV1().Services(namespace).Patch(t.Context(), "late", types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, namespace), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.ExpectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	p.Untroubled(t)
}

// S8, S11, S15: whatever happens to a Service and to controllers, the status ends up right and
// nothing is complained of.
func TestControllerChurn(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	first := harness.StartController(t, kubeconfig, "-class", namespace).WaitReady(t)
	second := harness.StartController(t, kubeconfig, "-class", namespace).WaitReady(t)
	services := c.Client.CoreV1().Services(namespace)

	for range 20 {
		harness.CreateService(t, c, namespace, "web", namespace)
		harness.Must(t, services.Delete(t.Context(), "web", metav1.DeleteOptions{}))
	}
	harness.CreateService(t, c, namespace, "web", namespace)
	harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+".minilb")

	harness.CreateService(t, c, namespace, "api", namespace)
	for range 20 {
		switched, err := services.Patch(t.Context(), "api", types.MergePatchType,
			[]byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
		harness.Must(t, err)
		if len(switched.Status.LoadBalancer.Ingress) > 0 || switched.Spec.LoadBalancerClass != nil {
			t.Errorf("the API server does not clear up: %+v", switched)
		}
		_, err = services.Patch(t.Context(), "api", types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, namespace), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	harness.ExpectStatus(t, c, namespace, "api", "api."+namespace+".minilb")

	first.Stop(t)
	harness.CreateService(t, c, namespace, "late", namespace)
	harness.ExpectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	second.Stop(t)
	for _, name := range []string{"web", "api", "late"} {
		harness.ExpectStatus(t, c, namespace, name, name+"."+namespace+".minilb")
	}
	harness.CreateService(t, c, namespace, "meanwhile", namespace)
	third := harness.StartController(t, kubeconfig, "-class", namespace)
	harness.ExpectStatus(t, c, namespace, "meanwhile", "meanwhile."+namespace+".minilb")
	for _, p := range []*harness.Controller{first, second, third} {
		p.Untroubled(t)
	}
}

// S8, S11: how the API server answers writes that come too late, on which the controller relies.
func TestLateStatusWrites(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	service := harness.CreateService(t, c, namespace, "web", namespace)
	services := c.Client.CoreV1().Services(namespace)
	write := func(name string, uid types.UID) metav1.Status {
		status := applycorev1.LoadBalancerStatus().WithIngress(applycorev1.LoadBalancerIngress().WithHostname("web.example.org"))
		body := applycorev1.Service(name, namespace).WithUID(uid).WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(status))
		_, err := services.ApplyStatus(t.Context(), body, metav1.ApplyOptions{FieldManager: "minilb", Force: true})
		var answer apierrors.APIStatus
		if !errors.As(err, &answer) {
			t.Fatalf("got %v, want an error of the API server", err)
		}
		return answer.Status()
	}
	t.Run("re-created", func(t *testing.T) {
		got := write("web", "00000000-0000-0000-0000-000000000000")
		t.Logf("%d %s", got.Code, got.Message)
		if got.Code != http.StatusUnprocessableEntity || got.Details.Causes[0].Field != "metadata.uid" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("another type", func(t *testing.T) {
		_, err := services.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
		harness.Must(t, err)
		got := write("web", service.UID)
		t.Logf("%d %s", got.Code, got.Message)
		if got.Code != http.StatusUnprocessableEntity || got.Details.Causes[0].Field != "status.loadBalancer.ingress" || !strings.Contains(got.Message, "may only be used when") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("gone", func(t *testing.T) {
		got := write("api", service.UID)
		t.Logf("%d %s", got.Code, got.Message)
		if got.Code != http.StatusNotFound && (got.Code != http.StatusConflict || !strings.Contains(got.Message, "uid mismatch")) {
			t.Errorf("got %+v", got)
		}
	})
}
