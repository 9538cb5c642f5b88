package controller_test

import (
	"github.com/minilb/minilb/test/harness"

	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/minilb/minilb/test/cluster"
)

// patience is how long the tests below look at a log that must not grow.
const patience = 6 * time.Second

// expectHealth fails the test unless all of /livez, /healthz and /readyz answer so.
func expectHealth(p *harness.Controller, t *testing.T, live, ready int, reason string) {
	t.Helper()
	for path, want := range map[string]int{"/livez": live, "/healthz": ready, "/readyz": ready} {
		code, body := harness.Get(p.URL + path)
		if code != want || ready != http.StatusOK && path != "/livez" && !strings.Contains(body, reason) {
			t.Errorf("%s: got %d %q, want %d %q\n%s", path, code, body, want, reason, p.Stderr)
		}
	}
}

// waitLive waits until /livez answers, which takes no API server.
func waitLive(p *harness.Controller, t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(p.URL + "/livez"); code != http.StatusOK {
			return fmt.Errorf("/livez: %d %s\n%s", code, body, p.Stderr)
		}
		return nil
	})
}

// An API server that is absent is waited for, quietly, and its return is noticed.
func TestControllerOutage(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31"))
	_, err := c.NodePodCIDRs(ctx, "node1")
	harness.Must(t, err)
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.Must(t, c.StopAPIServer())

	p := harness.StartController(t, kubeconfig)
	waitLive(p, t)
	cluster.Eventually(t, 5*time.Second, func() error {
		if len(p.Troubles()) == 0 {
			return errors.New("the log says nothing")
		}
		return nil
	})
	expectHealth(p, t, http.StatusOK, http.StatusServiceUnavailable, "cannot reach the API server")
	time.Sleep(patience)
	if lines := p.Troubles(); len(lines) != 1 || !strings.Contains(lines[0], "cannot reach the API server at "+strings.TrimPrefix(c.URL, "https://")) {
		t.Errorf("want one line that says where, got\n%s", strings.Join(lines, "\n"))
	}

	harness.Must(t, c.StartAPIServer(ctx))
	began := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(p.URL + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s\n%s", code, body, p.Stderr)
		}
		return nil
	})
	t.Logf("ready %v after the API server", time.Since(began).Round(time.Millisecond))
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	cluster.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(p.Stdout.String(), "ip route add ") {
			return fmt.Errorf("no routes printed: %q", p.Stdout)
		}
		return nil
	})

	// The next outage takes nothing away, and what happened meanwhile is put right.
	harness.Overwrite(t, c, "default", "web", corev1.LoadBalancerIngress{IP: "192.0.2.7"})
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	harness.Must(t, c.StopAPIServer())
	time.Sleep(patience)
	expectHealth(p, t, http.StatusOK, http.StatusOK, "")
	harness.Must(t, c.StartAPIServer(ctx))
	began = time.Now()
	harness.CreateService(t, c, "default", "api", "minilb")
	harness.ExpectStatus(t, c, "default", "api", "api.default.minilb")
	t.Logf("at work %v after the API server's return", time.Since(began).Round(time.Millisecond))
	expectHealth(p, t, http.StatusOK, http.StatusOK, "")
	if n := len(p.Stderr.Lines("")); n > 20 {
		t.Errorf("%d lines of log in two outages:\n%s", n, p.Stderr)
	}
}

// A token that the API server does not know is told in one line.
func TestControllerUnauthorized(t *testing.T) {
	c := harness.Shared(t)
	kubeconfig, err := c.TokenKubeconfig("garbage")
	harness.Must(t, err)
	p := harness.StartController(t, kubeconfig)
	waitLive(p, t)
	time.Sleep(patience)
	expectHealth(p, t, http.StatusOK, http.StatusServiceUnavailable, "401")
	if lines := p.Troubles(); len(lines) != 1 || !strings.Contains(lines[0], "the token or certificate is wrong or has expired") {
		t.Errorf("want one line, got\n%s", strings.Join(lines, "\n"))
	}

	output, err := harness.Minilb(t, "routes", "-kubeconfig", kubeconfig).CombinedOutput()
	if err == nil || strings.Count(string(output), "\n") != 1 || !strings.HasPrefix(string(output), "minilb: the API server does not accept our credentials (401 Unauthorized)") {
		t.Errorf("routes: got %v and %q", err, output)
	}
}

// rightlessAccount has no rights; the other manifests grant it some.
const (
	rightlessAccount = `
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: NAMESPACE, name: rightless}
`
	grantServices = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-services}
rules:
- {apiGroups: [""], resources: [services], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-services}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-services}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: rightless}]
`
	grantStatus = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-status}
rules:
- {apiGroups: [""], resources: [services/status], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-status}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-status}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: rightless}]
`
)

// S14: each permission that is missing is told in one line that names it, and a grant is
// noticed without a restart.
func TestControllerForbidden(t *testing.T) {
	c := harness.Shared(t)
	ctx := t.Context()
	namespace := harness.NewNamespace(t, c)
	apply := func(manifest string) {
		t.Helper()
		harness.Must(t, c.Apply(ctx, strings.ReplaceAll(manifest, "NAMESPACE", namespace)))
	}
	apply(rightlessAccount)
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, namespace, "rightless")
	harness.Must(t, err)
	for n := range 3 {
		harness.CreateService(t, c, namespace, fmt.Sprintf("web-%d", n), namespace)
	}
	p := harness.StartController(t, kubeconfig, "-class", namespace)
	waitLive(p, t)
	time.Sleep(patience)
	expectHealth(p, t, http.StatusOK, http.StatusServiceUnavailable, "services: list and watch is forbidden")
	expectTroubles(p, t,
		"routes not printed: nodes: list is forbidden: apply deploy/kustomize, or grant list on nodes",
		"services: list and watch is forbidden: apply deploy/kustomize, or grant list and watch on services")

	apply(grantServices)
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(p.URL + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s", code, body)
		}
		return nil
	})
	time.Sleep(patience)
	expectTroubles(p, t, "nodes: list is forbidden", "services: list and watch is forbidden",
		"services/status: patch is forbidden: apply deploy/kustomize, or grant patch on services/status")

	apply(grantStatus)
	cluster.Eventually(t, 35*time.Second, func() error {
		for n := range 3 {
			if service := harness.GetService(t, c, namespace, fmt.Sprintf("web-%d", n)); len(service.Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("%s has no status\n%s", service.Name, p.Stderr)
			}
		}
		return nil
	})
	cluster.Eventually(t, 5*time.Second, func() error { // the statuses are there before that is said
		if lines := p.Stderr.Lines("writing the status of services again"); len(lines) != 1 {
			return fmt.Errorf("%d lines say that writing works again, want 1\n%s", len(lines), p.Stderr)
		}
		return nil
	})

	output, err := harness.Minilb(t, "routes", "-kubeconfig", kubeconfig).CombinedOutput()
	if err == nil || strings.Count(string(output), "\n") != 1 || !strings.HasPrefix(string(output), "minilb: nodes: list is forbidden: ") {
		t.Errorf("routes: got %v and %q", err, output)
	}
}

// expectTroubles fails the test unless the log has exactly these warnings and errors, each once.
func expectTroubles(p *harness.Controller, t *testing.T, want ...string) {
	t.Helper()
	lines := p.Troubles()
	for _, text := range want {
		if got := p.Stderr.Lines(text); len(got) != 1 {
			t.Errorf("%d lines say %q, want 1", len(got), text)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d warnings and errors, want %d:\n%s", len(lines), len(want), strings.Join(lines, "\n"))
	}
}

// S8, S11: how the API server answers writes that come too late, on which the controller relies.
func TestLateStatusWrites(t *testing.T) {
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
