package controller_test

import (
	"github.com/minilb/minilb/test/harness"

	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// S1, S2, S3, S4, S6, S11, S14
func TestControllerWritesHostname(t *testing.T) {
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
	harness.ExpectUntouched(t, c, service) // S12
	p.Untroubled(t)
	_, metrics := harness.Get(p.URL + "/metrics")
	for _, want := range []string{"minilb_services 1\n", "minilb_status_writes_total{result=\"success\"} 1\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// S6, S7, S9, S10, S12, M5, M8
func TestControllerLeavesOthersAlone(t *testing.T) {
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace, "-resync", "1").WaitReady(t)

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
	harness.ExpectUntouched(t, c, others...)
	p.Untroubled(t)

	// M8: what is not ignored any more is ours again, and what becomes ignored keeps its status.
	_, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.ExpectStatus(t, c, namespace, "ignored", "ignored."+namespace+".minilb")
	again, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.ExpectUntouched(t, c, again)
}

// S6, S7: a Service without a class is taken on demand, one of another class never.
func TestControllerDefaultClass(t *testing.T) {
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace, "-default-class").WaitReady(t)
	other := harness.CreateService(t, c, namespace, "other", "example.org/other")
	harness.CreateService(t, c, namespace, "ours", namespace)
	harness.CreateService(t, c, namespace, "without", "")
	harness.ExpectStatus(t, c, namespace, "ours", "ours."+namespace+".minilb")
	harness.ExpectStatus(t, c, namespace, "without", "without."+namespace+".minilb")
	harness.ExpectUntouched(t, c, other)

	// S7: the class can be chosen with the switch to LoadBalancer.
	harness.CreateService(t, c, namespace, "late", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	_, err := c.Client.CoreV1().Services(namespace).Patch(t.Context(), "late", types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, namespace), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.ExpectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	p.Untroubled(t)
}

// S12: what somebody else writes is put right, five times in ten minutes; then we give way.
func TestControllerOverwritten(t *testing.T) {
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", namespace).WaitReady(t)
	harness.CreateService(t, c, namespace, "web", namespace)
	harness.CreateService(t, c, namespace, "api", namespace)
	hostname := "web." + namespace + ".minilb"
	harness.ExpectStatus(t, c, namespace, "web", hostname)
	harness.ExpectStatus(t, c, namespace, "api", "api."+namespace+".minilb")

	vip := corev1.LoadBalancerIngress{IP: "192.0.2.7"}
	for _, ingress := range [][]corev1.LoadBalancerIngress{{vip}, {}, {{Hostname: hostname}, vip}, {{Hostname: "x.example.org"}}, {vip}} {
		harness.Overwrite(t, c, namespace, "web", ingress...)
		harness.ExpectStatus(t, c, namespace, "web", hostname)
	}
	p.Untroubled(t)
	harness.ExpectUntouched(t, c, harness.Overwrite(t, c, namespace, "web", vip))
	if lines := p.Troubles(); len(lines) != 1 || !strings.Contains(lines[0], "service="+namespace+"/web other=rival paused=10m0s") {
		t.Errorf("want one warning that names the Service and its rival, got\n%s", strings.Join(lines, "\n"))
	}
	// The pause is that Service's alone.
	harness.Overwrite(t, c, namespace, "api", vip)
	harness.ExpectStatus(t, c, namespace, "api", "api."+namespace+".minilb")
}

// S8, S11, S15: whatever happens to a Service and to controllers, the status ends up right and
// nothing is complained of.
func TestControllerChurn(t *testing.T) {
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

// S13: under another domain the old hostname goes, whatever was beside it stays the API server's.
func TestControllerDomain(t *testing.T) {
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	harness.CreateService(t, c, namespace, "web", namespace)
	for _, domain := range []string{"minilb", "home.example.org", "minilb"} {
		p := harness.StartController(t, kubeconfig, "-class", namespace, "-domain", domain)
		harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+"."+domain)
		p.Untroubled(t)
		p.Stop(t)
	}
}
