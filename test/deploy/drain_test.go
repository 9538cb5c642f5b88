package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// L9: what the policy of components/drain, and of the chart, makes of pods: each container that has no preStop gets one
// that sleeps, and the grace period leaves ten seconds beside it. Pods without the label stay as they are.
func TestDrainPolicy(t *testing.T) {
	t.Parallel()
	component := func(t *testing.T) string {
		manifest, err := shipped.Overlay("resources: [https://github.com/minilb/minilb//deploy/kustomize/base?ref=v0.1.0]\n"+
			"components: [https://github.com/minilb/minilb//deploy/kustomize/components/drain?ref=v0.1.0]\n", nil)
		harness.Must(t, err)
		return manifest
	}
	chart := func(t *testing.T) string {
		manifest, err := shipped.Helm(t.Context(), "template", "minilb", "deploy/helm/minilb", "--namespace", shipped.Namespace,
			"--kube-version", "1.36.0", "--set", "drain.enabled=true,drain.seconds=65")
		harness.Must(t, err)
		return manifest
	}
	for _, of := range []struct {
		name     string
		manifest func(*testing.T) string
		seconds  int64
	}{{"kustomize", component, 7}, {"chart", chart, 65}} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			c := cluster.New(t, cluster.Options{})
			harness.Must(t, c.Apply(t.Context(), harness.OfKinds(t, of.manifest(t), "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")))
			namespace := harness.NewNamespace(t, c)
			// create returns what becomes of a pod: the seconds of each container's sleep, and the grace period.
			create := func(labels map[string]string, grace int64, containers ...corev1.Container) string {
				t.Helper()
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels}, Spec: corev1.PodSpec{Containers: containers}}
				if grace >= 0 {
					pod.Spec.TerminationGracePeriodSeconds = &grace
				}
				got, err := c.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					return err.Error()
				}
				var all []string
				for i, container := range got.Spec.Containers {
					text := "none"
					if lifecycle := container.Lifecycle; lifecycle != nil && lifecycle.PreStop != nil {
						if text = "own"; lifecycle.PreStop.Sleep != nil {
							text = fmt.Sprint(lifecycle.PreStop.Sleep.Seconds)
						}
						if was := containers[i].Lifecycle; was != nil && was.PostStart != nil && lifecycle.PostStart == nil {
							text += " without its postStart"
						}
					}
					if len(container.Env) != len(containers[i].Env) || len(container.Ports) != len(containers[i].Ports) {
						text += " and not as it was"
					}
					all = append(all, container.Name+" "+text)
				}
				return fmt.Sprintf("%s, grace %d", strings.Join(all, ", "), *got.Spec.TerminationGracePeriodSeconds)
			}
			exec := corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}
			plain := corev1.Container{Name: "web", Image: "web"}
			many := corev1.Container{Name: "many", Image: "web", Lifecycle: &corev1.Lifecycle{PostStart: &exec},
				Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}},
				Ports: []corev1.ContainerPort{{ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: 53, Protocol: corev1.ProtocolTCP},
					{ContainerPort: 53, Protocol: corev1.ProtocolTCP, Name: "dns"}}}
			own := corev1.Container{Name: "own", Image: "web", Lifecycle: &corev1.Lifecycle{PreStop: &exec}}
			short := corev1.Container{Name: "short", Image: "web", Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}}}
			least := max(30, of.seconds+10)
			labels := map[string]string{"minilb/drain": ""}
			cluster.Eventually(t, 20*time.Second, func() error {
				if got, want := create(labels, -1, plain), fmt.Sprintf("web %d, grace %d", of.seconds, least); got != want {
					return fmt.Errorf("got %q, want %q", got, want)
				}
				return nil
			})
			for _, tc := range []struct {
				labels     map[string]string
				grace      int64
				containers []corev1.Container
				want       string
			}{
				{map[string]string{"minilb/drain": "any"}, 5, []corev1.Container{plain}, fmt.Sprintf("web %d, grace %d", of.seconds, of.seconds+10)},
				{labels, 0, []corev1.Container{plain}, fmt.Sprintf("web %d, grace %d", of.seconds, of.seconds+10)},
				{labels, 100, []corev1.Container{plain}, fmt.Sprintf("web %d, grace 100", of.seconds)},
				{labels, 30, []corev1.Container{plain, many, own, short}, fmt.Sprintf("web %d, many %d, own own, short 1, grace %d", of.seconds, of.seconds, least)},
				{labels, 5, []corev1.Container{own, short}, "own own, short 1, grace 5"},
				{nil, 5, []corev1.Container{plain, own}, "web none, own own, grace 5"},
				{map[string]string{"minilb/ignore": "true"}, 30, []corev1.Container{plain}, "web none, grace 30"},
			} {
				if got := create(tc.labels, tc.grace, tc.containers...); got != tc.want {
					t.Errorf("labels %v, grace %d: got  %s\nwant %s", tc.labels, tc.grace, got, tc.want)
				}
			}
		})
	}
}

// What the README of the manifests says: how the policy is told another TTL, which label pods get, and how the
// controller goes without the permission to list pods.
func TestDrainRecipes(t *testing.T) {
	t.Parallel()
	blocks := harness.Recipe(t, "../kustomize/README.md", "Time to drain")
	if len(blocks) != 3 || !strings.Contains(blocks[1], lb.DrainLabel+`: ""`) {
		t.Fatalf("%d blocks, want 3, the second with the label", len(blocks))
	}
	manifest, err := shipped.Overlay(blocks[0], nil)
	harness.Must(t, err)
	policy := harness.ShippedObject[admissionv1.MutatingAdmissionPolicy](t, manifest, "MutatingAdmissionPolicy", "minilb-drain")
	if seconds := policy.Spec.Variables[0]; seconds.Name != "seconds" || seconds.Expression != "32" {
		t.Errorf("got variable %+v, want 32 seconds", seconds)
	}
	manifest, err = shipped.Overlay(blocks[2], nil)
	harness.Must(t, err)
	role := harness.ShippedObject[rbacv1.ClusterRole](t, manifest, "ClusterRole", harness.ControllerAccount)
	if len(role.Rules) != 9 || slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "pods") }) {
		t.Errorf("got rules %+v, want all but that for pods", role.Rules)
	}
}
