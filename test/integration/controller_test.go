package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
)

// minilb returns a command that runs the real binary.
func minilb(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, minilbBinary, args...)
}

// command returns a command that runs a binary which is built first.
func command(t *testing.T, binary func() (string, error), args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	must(t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	return cmd
}

// controller is a running "minilb controller".
type controller struct {
	url    string // of its health and metrics
	stdout *logBuffer
	stderr *logBuffer
	cmd    *exec.Cmd
	exited chan error
	once   sync.Once
}

// startController runs "minilb controller" with these flags beside -kubeconfig and -health.
// It waits for nothing.
func startController(t *testing.T, kubeconfig string, flags ...string) *controller {
	t.Helper()
	return launchController(t, minilbBinary, kubeconfig, flags...)
}

// launchController is startController with another build.
func launchController(t *testing.T, binary func() (string, error), kubeconfig string, flags ...string) *controller {
	t.Helper()
	addr := freePorts(t, 1)[0]
	p := &controller{url: "http://" + addr, stdout: &logBuffer{}, stderr: &logBuffer{}, exited: make(chan error, 1)}
	p.cmd = command(t, binary, append([]string{"controller", "-kubeconfig", kubeconfig, "-health", addr}, flags...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	must(t, p.cmd.Start())
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop ends the controller as the kubelet does and checks that it goes cleanly. Only the
// first call does anything.
func (p *controller) stop(t *testing.T) {
	t.Helper()
	p.once.Do(func() { p.terminate(t) })
}

func (p *controller) terminate(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.exited:
		if err != nil {
			t.Errorf("minilb controller: %v\n%s", err, p.stderr)
		}
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
		t.Errorf("minilb controller did not end within 10s of SIGTERM\n%s", p.stderr)
	}
	if log := p.stderr.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("minilb controller said:\n%s", log)
	}
}

// waitReady waits until /readyz says so.
func (p *controller) waitReady(t *testing.T) *controller {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		if code, body := get(p.url + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s\n%s", code, body, p.stderr)
		}
		return nil
	})
	return p
}

// troubles returns the lines of the log that are warnings or worse.
func (p *controller) troubles() []string {
	return append(p.stderr.lines("level=WARN"), p.stderr.lines("level=ERROR")...)
}

// untroubled fails the test if there are any.
func (p *controller) untroubled(t *testing.T) {
	t.Helper()
	if lines := p.troubles(); len(lines) > 0 {
		t.Errorf("the log has warnings or errors:\n%s", strings.Join(lines, "\n"))
	}
}

// newService returns a LoadBalancer Service of a class, or without one if that is empty.
func newService(namespace, name, class string) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}
	if class != "" {
		service.Spec.LoadBalancerClass = &class
	}
	return service
}

// createService creates what newService returns, with changes.
func createService(t *testing.T, c *cluster.Cluster, namespace, name, class string, changes ...func(*corev1.Service)) *corev1.Service {
	t.Helper()
	service := newService(namespace, name, class)
	for _, change := range changes {
		change(service)
	}
	service, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
	must(t, err)
	return service
}

func getService(t *testing.T, c *cluster.Cluster, namespace, name string) *corev1.Service {
	t.Helper()
	service, err := c.Client.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	return service
}

// expectStatus waits until the status of a Service says exactly this hostname.
func expectStatus(t *testing.T, c *cluster.Cluster, namespace, name, hostname string) {
	t.Helper()
	cluster.Eventually(t, 10*time.Second, func() error {
		service := getService(t, c, namespace, name)
		want := []corev1.LoadBalancerIngress{{Hostname: hostname}}
		if got := service.Status.LoadBalancer.Ingress; len(got) != 1 || got[0].Hostname != hostname || got[0].IP != "" || got[0].IPMode != nil || got[0].Ports != nil {
			return fmt.Errorf("%s/%s: got status %+v, want %+v", namespace, name, got, want)
		}
		return nil
	})
}

// expectUntouched fails the test if a Service changes within a while.
func expectUntouched(t *testing.T, c *cluster.Cluster, services ...*corev1.Service) {
	t.Helper()
	time.Sleep(2 * time.Second)
	for _, service := range services {
		if now := getService(t, c, service.Namespace, service.Name); now.ResourceVersion != service.ResourceVersion {
			t.Errorf("%s was written: %+v, status %+v", service.Name, now.ManagedFields, now.Status)
		}
	}
}

// overwrite writes the status of a Service as another controller does, which does not know of us.
func overwrite(t *testing.T, c *cluster.Cluster, namespace, name string, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
	t.Helper()
	body, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}})
	must(t, err)
	service, err := c.Client.CoreV1().Services(namespace).Patch(t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "rival"}, "status")
	must(t, err)
	return service
}

// S1, S2, S3, S4, S6, S11, S14
func TestControllerWritesHostname(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	p := startController(t, shippedAccounts(t, c).controller, "-class", namespace, "-domain", "Home.Example.ORG.").waitReady(t)
	createService(t, c, namespace, "web", namespace)
	expectStatus(t, c, namespace, "web", "web."+namespace+".home.example.org")

	service := getService(t, c, namespace, "web")
	owns := slices.ContainsFunc(service.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == "minilb" && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "status"
	})
	if !owns || len(service.Finalizers) > 0 {
		t.Errorf("got managed fields %v and finalizers %v, want the status applied by minilb and none", service.ManagedFields, service.Finalizers)
	}
	expectUntouched(t, c, service) // S12
	p.untroubled(t)
	_, metrics := get(p.url + "/metrics")
	for _, want := range []string{"minilb_services 1\n", "minilb_status_writes_total{result=\"success\"} 1\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// S6, S7, S9, S10, S12, M5, M8
func TestControllerLeavesOthersAlone(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	p := startController(t, shippedAccounts(t, c).controller, "-class", namespace, "-resync", "1").waitReady(t)

	ignored := map[string]string{"minilb/ignore": "true"}
	createService(t, c, namespace, "other-class", "example.org/other")
	others := []*corev1.Service{
		overwrite(t, c, namespace, "other-class", corev1.LoadBalancerIngress{IP: "192.0.2.7"}),
		createService(t, c, namespace, "without-class", ""),
		createService(t, c, namespace, "cluster-ip", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }),
		createService(t, c, namespace, "node-port", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }),
		createService(t, c, namespace, "ignored", namespace, func(s *corev1.Service) { s.Labels = ignored }),
	}
	// M5: deleted, and kept by somebody's finalizer until then.
	createService(t, c, namespace, "deleted", namespace, func(s *corev1.Service) { s.Finalizers = []string{"example.org/keep"} })
	expectStatus(t, c, namespace, "deleted", "deleted."+namespace+".minilb")
	services := c.Client.CoreV1().Services(namespace)
	must(t, services.Delete(t.Context(), "deleted", metav1.DeleteOptions{}))
	t.Cleanup(func() {
		services.Patch(context.Background(), "deleted", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	others = append(others, overwrite(t, c, namespace, "deleted", corev1.LoadBalancerIngress{Hostname: "rival.example.org"}))
	expectUntouched(t, c, others...)
	p.untroubled(t)

	// M8: what is not ignored any more is ours again, and what becomes ignored keeps its status.
	_, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	must(t, err)
	expectStatus(t, c, namespace, "ignored", "ignored."+namespace+".minilb")
	again, err := services.Patch(t.Context(), "ignored", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	must(t, err)
	expectUntouched(t, c, again)
}

// S6, S7: a Service without a class is taken on demand, one of another class never.
func TestControllerDefaultClass(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	p := startController(t, shippedAccounts(t, c).controller, "-class", namespace, "-default-class").waitReady(t)
	other := createService(t, c, namespace, "other", "example.org/other")
	createService(t, c, namespace, "ours", namespace)
	createService(t, c, namespace, "without", "")
	expectStatus(t, c, namespace, "ours", "ours."+namespace+".minilb")
	expectStatus(t, c, namespace, "without", "without."+namespace+".minilb")
	expectUntouched(t, c, other)

	// S7: the class can be chosen with the switch to LoadBalancer.
	createService(t, c, namespace, "late", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	_, err := c.Client.CoreV1().Services(namespace).Patch(t.Context(), "late", types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, namespace), metav1.PatchOptions{})
	must(t, err)
	expectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	p.untroubled(t)
}

// S12: what somebody else writes is put right, five times in ten minutes; then we give way.
func TestControllerOverwritten(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	p := startController(t, shippedAccounts(t, c).controller, "-class", namespace).waitReady(t)
	createService(t, c, namespace, "web", namespace)
	createService(t, c, namespace, "api", namespace)
	hostname := "web." + namespace + ".minilb"
	expectStatus(t, c, namespace, "web", hostname)
	expectStatus(t, c, namespace, "api", "api."+namespace+".minilb")

	vip := corev1.LoadBalancerIngress{IP: "192.0.2.7"}
	for _, ingress := range [][]corev1.LoadBalancerIngress{{vip}, {}, {{Hostname: hostname}, vip}, {{Hostname: "x.example.org"}}, {vip}} {
		overwrite(t, c, namespace, "web", ingress...)
		expectStatus(t, c, namespace, "web", hostname)
	}
	p.untroubled(t)
	expectUntouched(t, c, overwrite(t, c, namespace, "web", vip))
	if lines := p.troubles(); len(lines) != 1 || !strings.Contains(lines[0], "service="+namespace+"/web other=rival paused=10m0s") {
		t.Errorf("want one warning that names the Service and its rival, got\n%s", strings.Join(lines, "\n"))
	}
	// The pause is that Service's alone.
	overwrite(t, c, namespace, "api", vip)
	expectStatus(t, c, namespace, "api", "api."+namespace+".minilb")
}

// S8, S11, S15: whatever happens to a Service and to controllers, the status ends up right and
// nothing is complained of.
func TestControllerChurn(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	kubeconfig := shippedAccounts(t, c).controller
	first := startController(t, kubeconfig, "-class", namespace).waitReady(t)
	second := startController(t, kubeconfig, "-class", namespace).waitReady(t)
	services := c.Client.CoreV1().Services(namespace)

	for range 20 {
		createService(t, c, namespace, "web", namespace)
		must(t, services.Delete(t.Context(), "web", metav1.DeleteOptions{}))
	}
	createService(t, c, namespace, "web", namespace)
	expectStatus(t, c, namespace, "web", "web."+namespace+".minilb")

	createService(t, c, namespace, "api", namespace)
	for range 20 {
		switched, err := services.Patch(t.Context(), "api", types.MergePatchType,
			[]byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
		must(t, err)
		if len(switched.Status.LoadBalancer.Ingress) > 0 || switched.Spec.LoadBalancerClass != nil {
			t.Errorf("the API server does not clear up: %+v", switched)
		}
		_, err = services.Patch(t.Context(), "api", types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, namespace), metav1.PatchOptions{})
		must(t, err)
	}
	expectStatus(t, c, namespace, "api", "api."+namespace+".minilb")

	first.stop(t)
	createService(t, c, namespace, "late", namespace)
	expectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	second.stop(t)
	for _, name := range []string{"web", "api", "late"} {
		expectStatus(t, c, namespace, name, name+"."+namespace+".minilb")
	}
	createService(t, c, namespace, "meanwhile", namespace)
	third := startController(t, kubeconfig, "-class", namespace)
	expectStatus(t, c, namespace, "meanwhile", "meanwhile."+namespace+".minilb")
	for _, p := range []*controller{first, second, third} {
		p.untroubled(t)
	}
}

// S13: under another domain the old hostname goes, whatever was beside it stays the API server's.
func TestControllerDomain(t *testing.T) {
	c := shared(t)
	namespace := newNamespace(t, c)
	kubeconfig := shippedAccounts(t, c).controller
	createService(t, c, namespace, "web", namespace)
	for _, domain := range []string{"minilb", "home.example.org", "minilb"} {
		p := startController(t, kubeconfig, "-class", namespace, "-domain", domain)
		expectStatus(t, c, namespace, "web", "web."+namespace+"."+domain)
		p.untroubled(t)
		p.stop(t)
	}
}
