package controller_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

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
	cluster.Eventually(t, 30*time.Second, func() error {
		if code, body := harness.Get(p.URL + "/livez"); code != http.StatusOK {
			return fmt.Errorf("/livez: %d %s\n%s", code, body, p.Stderr)
		}
		return nil
	})
}

// A token that the API server does not know is told in one line.
func TestControllerUnauthorized(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig, err := c.TokenKubeconfig("garbage")
	harness.Must(t, err)
	p := harness.StartController(t, kubeconfig)
	waitLive(p, t)
	const complaint = "the token or certificate is wrong or has expired"
	waitSaid(p, t, complaint)
	expectHealth(p, t, http.StatusOK, http.StatusServiceUnavailable, "401")

	output, err := harness.Minilb(t, "routes", "-kubeconfig", kubeconfig).CombinedOutput()
	if err == nil || strings.Count(string(output), "\n") != 1 || !strings.HasPrefix(string(output), "minilb: the API server does not accept our credentials (401 Unauthorized)") {
		t.Errorf("routes: got %v and %q", err, output)
	}
	expectTroubles(p, t, complaint) // it has tried again meanwhile
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
	grantEvents = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-events}
rules:
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-events}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: rightless}]
`
)

// S14, S17: each permission that is missing is told in one line that names it, and a grant is noticed
// without a restart. Without Events nothing is asked for that they alone need; with them, statuses are
// written all the same where Events, or what they depend on, are forbidden.
func TestControllerForbidden(t *testing.T) {
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
	for n := range 3 {
		harness.CreateService(t, c, namespace, fmt.Sprintf("web-%d", n), namespace)
	}
	harness.CreateService(t, c, namespace, "wrong", namespace, func(s *corev1.Service) {
		s.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}
	})
	const (
		noNodes     = "routes not printed: nodes: list is forbidden: apply deploy/kustomize, or grant list on nodes"
		noServices  = "services: list and watch is forbidden: apply deploy/kustomize, or grant list and watch on services"
		noStatus    = "services/status: patch is forbidden: apply deploy/kustomize, or grant patch on services/status"
		noEvents    = "events are not written, or not everywhere (-events=false does without): events.events.k8s.io: create is forbidden: apply deploy/kustomize, or grant create on events.events.k8s.io"
		noIngresses = "no events of some hosts: ingresses.networking.k8s.io: list and watch is forbidden: apply deploy/kustomize, or grant list and watch on ingresses.networking.k8s.io"
	)
	silent := harness.StartController(t, kubeconfig, "-class", namespace, "-events=false")
	waitLive(silent, t)
	waitSaid(silent, t, noNodes, noServices)
	expectHealth(silent, t, http.StatusOK, http.StatusServiceUnavailable, "services: list and watch is forbidden")

	apply(grantServices)
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(silent.URL + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s", code, body)
		}
		return nil
	})
	waitSaid(silent, t, noStatus)

	apply(grantStatus)
	cluster.Eventually(t, 35*time.Second, func() error {
		for _, name := range []string{"web-0", "web-1", "web-2", "wrong"} {
			if service := harness.GetService(t, c, namespace, name); len(service.Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("%s has no status\n%s", name, silent.Stderr)
			}
		}
		return nil
	})
	cluster.Eventually(t, 5*time.Second, func() error { // the statuses are there before that is said
		if lines := silent.Stderr.Lines("writing the status of services again"); len(lines) != 1 {
			return fmt.Errorf("%d lines say that writing works again, want 1\n%s", len(lines), silent.Stderr)
		}
		return nil
	})

	// One that writes Events asks at once for what the other one, by now, would have asked for.
	p := harness.StartController(t, kubeconfig, "-class", namespace).WaitReady(t)
	waitSaid(p, t, noNodes, noEvents, noIngresses)
	expectTroubles(silent, t, noNodes, noServices, noStatus)
	if lines := silent.Stderr.Lines("forbidden"); len(lines) != 3 {
		t.Errorf("without Events, %d lines of what is forbidden, want 3\n%s", len(lines), silent.Stderr)
	}
	silent.Stop(t)
	harness.CreateService(t, c, namespace, "late", namespace)
	harness.ExpectStatus(t, c, namespace, "late", "late."+namespace+".minilb")
	if got := described(t, c, "Service", namespace, "wrong"); len(got) > 0 {
		t.Errorf("got events %q", got)
	}

	apply(grantEvents)
	harness.StartController(t, kubeconfig, "-class", namespace).WaitReady(t)
	cluster.Eventually(t, 20*time.Second, func() error {
		if got := described(t, c, "Service", namespace, "wrong"); len(got) != 1 || !strings.HasPrefix(got[0], "Warning TargetPortMismatch") {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	expectTroubles(p, t, noNodes)
	for _, text := range []string{noEvents, noIngresses} {
		if lines := p.Stderr.Lines(text); len(lines) != 1 {
			t.Errorf("%d lines say %q, want 1\n%s", len(lines), text, p.Stderr)
		}
	}

	output, err := harness.Minilb(t, "routes", "-kubeconfig", kubeconfig).CombinedOutput()
	if err == nil || strings.Count(string(output), "\n") != 1 || !strings.HasPrefix(string(output), "minilb: nodes: list is forbidden: ") {
		t.Errorf("routes: got %v and %q", err, output)
	}
}

// waitSaid waits until the log has a line of each of these texts.
func waitSaid(p *harness.Controller, t *testing.T, texts ...string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		for _, text := range texts {
			if len(p.Stderr.Lines(text)) == 0 {
				return fmt.Errorf("the log does not say %q\n%s", text, p.Stderr)
			}
		}
		return nil
	})
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
