package controller_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// cleanup runs "minilb controller -cleanup" and returns what it prints.
func cleanup(t *testing.T, kubeconfig string, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := harness.Minilb(t, append([]string{"controller", "-cleanup", "-kubeconfig", kubeconfig}, flags...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

// applyHostname writes the status of a Service by server-side apply.
func applyHostname(t *testing.T, c *cluster.Cluster, namespace, name, hostname, manager string) *corev1.Service {
	t.Helper()
	status := applycorev1.LoadBalancerStatus().WithIngress(applycorev1.LoadBalancerIngress().WithHostname(hostname))
	body := applycorev1.Service(name, namespace).WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(status))
	service, err := c.Client.CoreV1().Services(namespace).ApplyStatus(t.Context(), body, metav1.ApplyOptions{FieldManager: manager, Force: true})
	harness.Must(t, err)
	return service
}

// S13: under another domain the old hostname goes, and with -cleanup all that we have written; what others
// own stays, and the shipped rights suffice.
func TestControllerCleanup(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	lockClassless(t, c)
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller

	stdout, stderr, err := cleanup(t, kubeconfig, "-class", namespace)
	if want := "nothing to do: no Service of class " + namespace + " has a status that minilb has applied\n"; err != nil || stdout != want || stderr != "" {
		t.Errorf("nothing to do: got %v, %q and %q, want %q", err, stdout, stderr, want)
	}

	// What a controller has left: of an older domain, of now, and what is ignored since.
	harness.CreateService(t, c, namespace, "old", namespace)
	harness.CreateService(t, c, namespace, "web", namespace)
	p := harness.StartController(t, kubeconfig, "-class", namespace, "-domain", "old.example.org")
	for _, name := range []string{"old", "web"} {
		harness.ExpectStatus(t, c, namespace, name, name+"."+namespace+".old.example.org")
	}
	p.Untroubled(t)
	p.Stop(t)
	_, err = c.Client.CoreV1().Services(namespace).Patch(t.Context(), "old", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	ours := []string{"old", "web", "without"}
	harness.CreateService(t, c, namespace, "without", "")
	for _, name := range []string{"both", "rival", "rival-applied"} {
		harness.CreateService(t, c, namespace, name, namespace)
	}
	p = harness.StartController(t, kubeconfig, "-class", namespace, "-default-class").WaitReady(t)
	for _, name := range []string{"web", "without", "both", "rival", "rival-applied"} {
		harness.ExpectStatus(t, c, namespace, name, name+"."+namespace+".minilb")
	}
	p.Untroubled(t)
	p.Stop(t)

	// What is another's, of our class and not.
	harness.CreateService(t, c, namespace, "other", "example.org/other")
	harness.CreateService(t, c, namespace, "fresh", namespace)
	hostname := "both." + namespace + ".minilb"
	applyHostname(t, c, namespace, "both", hostname, "rival")
	others := []*corev1.Service{
		harness.Overwrite(t, c, namespace, "other", corev1.LoadBalancerIngress{IP: "192.0.2.7"}),
		harness.Overwrite(t, c, namespace, "rival", corev1.LoadBalancerIngress{IP: "192.0.2.7"}),
		applyHostname(t, c, namespace, "rival-applied", "rival.example.org", "rival"),
		harness.Overwrite(t, c, namespace, "fresh", corev1.LoadBalancerIngress{IP: "192.0.2.7"}),
	}

	// Without a class is ours only on demand.
	without := harness.GetService(t, c, namespace, "without")
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format+"\n", args...)) }
	line("service %s/both: status kept, for it is also that of rival", namespace)
	line("service %s/old: status removed", namespace)
	line("service %s/web: status removed", namespace)
	line("removed the status of 2 of 3 Services of class %s", namespace)
	stdout, stderr, err = cleanup(t, kubeconfig, "-class", namespace)
	if want := strings.Join(lines, ""); err != nil || stdout != want || stderr != "" {
		t.Errorf("got %v, %q and\n%swant\n%s", err, stderr, stdout, want)
	}
	harness.ExpectUnchanged(t, c, append(others, without)...)

	stdout, stderr, err = cleanup(t, kubeconfig, "-class", namespace, "-default-class")
	if want := fmt.Sprintf("service %s/without: status removed\nremoved the status of 1 of 1 Services of class %s or without a class\n", namespace, namespace); err != nil || stdout != want || stderr != "" {
		t.Errorf("got %v, %q and\n%swant\n%s", err, stderr, stdout, want)
	}
	harness.ExpectUnchanged(t, c, others...)
	for _, name := range ours {
		service := harness.GetService(t, c, namespace, name)
		if len(service.Status.LoadBalancer.Ingress) > 0 {
			t.Errorf("%s: the status still says %+v", name, service.Status.LoadBalancer.Ingress)
		}
		expectDisowned(t, service)
	}
	both := harness.GetService(t, c, namespace, "both")
	if got := both.Status.LoadBalancer.Ingress; len(got) != 1 || got[0].Hostname != hostname {
		t.Errorf("both: got status %+v, want what the rival has applied, too", got)
	}
	expectDisowned(t, both)

	stdout, _, err = cleanup(t, kubeconfig, "-class", namespace, "-default-class")
	if err != nil || !strings.HasPrefix(stdout, "nothing to do: ") {
		t.Errorf("once more: got %v and %q", err, stdout)
	}

	// A controller takes up again where it is wanted.
	p = harness.StartController(t, kubeconfig, "-class", namespace)
	harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+".minilb")
	p.Untroubled(t)
	p.Stop(t)
}

// expectDisowned fails the test if we own anything of a Service.
func expectDisowned(t *testing.T, service *corev1.Service) {
	t.Helper()
	for _, entry := range service.ManagedFields {
		if entry.Manager == "minilb" {
			t.Errorf("%s: minilb still owns %s", service.Name, entry.FieldsV1.GetRawString())
		}
	}
}

// S13, S14: each right that is missing is told in one line, and nothing is half said.
func TestControllerCleanupForbidden(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	apply := func(manifest string) {
		t.Helper()
		harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(manifest, "NAMESPACE", namespace)))
	}
	apply(rightlessAccount)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "rightless")
	harness.Must(t, err)
	for _, name := range []string{"api", "web"} {
		harness.CreateService(t, c, namespace, name, namespace)
		applyHostname(t, c, namespace, name, name+"."+namespace+".minilb", "minilb")
	}
	stdout, stderr, err := cleanup(t, kubeconfig, "-class", namespace)
	if err == nil || stdout != "" || strings.Count(stderr, "\n") != 1 ||
		!strings.HasPrefix(stderr, "minilb: services: list is forbidden: ") {
		t.Errorf("may not list: got %v, %q and %q", err, stdout, stderr)
	}

	apply(grantServices)
	summary := "removed the status of 0 of 2 Services of class " + namespace + "\n"
	// The API server takes a moment to know of a grant.
	cluster.Eventually(t, 10*time.Second, func() error {
		stdout, stderr, err = cleanup(t, kubeconfig, "-class", namespace)
		if err == nil || stdout != summary || strings.Count(stderr, "\n") != 1 ||
			!strings.HasPrefix(stderr, "minilb: services/status: patch is forbidden: ") {
			return fmt.Errorf("may not patch: got %v, %q and %q", err, stdout, stderr)
		}
		return nil
	})
}
