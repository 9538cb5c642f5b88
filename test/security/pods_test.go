package security_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/harness"
)

// What the real admission plugin says of the pods at each level of Pod Security: those of the base pass
// the strictest, also with the capability to listen below 1024 that a Corefile for port 53 takes. The
// DaemonSet's need what the levels below privileged forbid, their hostPorts and nothing else.
func TestPodSecurityLevels(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespaces := map[string]string{}
	for _, level := range []string{"restricted", "baseline", "privileged"} {
		namespace, err := c.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			GenerateName: level + "-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": level},
		}}, metav1.CreateOptions{})
		harness.Must(t, err)
		namespaces[level] = namespace.Name
		t.Cleanup(func() {
			c.Client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
		})
	}
	dns := harness.ShippedPods(t, harness.Rendered(t, harness.Base), harness.DNSAccount)
	controller := harness.ShippedPods(t, harness.Rendered(t, harness.Base), harness.ControllerAccount)
	daemon := harness.ShippedPods(t, harness.Rendered(t, harness.Daemonset), harness.DNSAccount)
	with := func(template corev1.PodTemplateSpec, change func(*corev1.PodSpec)) corev1.PodTemplateSpec {
		template = *template.DeepCopy()
		change(&template.Spec)
		return template
	}
	capability := func(name corev1.Capability) func(*corev1.PodSpec) {
		return func(spec *corev1.PodSpec) {
			spec.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{name}
		}
	}
	for _, tc := range []struct {
		name     string
		template corev1.PodTemplateSpec
		refused  map[string]string // by level: the only reason
	}{
		{"DNS", dns, nil},
		{"controller", controller, nil},
		{"DNS that may listen below 1024", with(dns, capability("NET_BIND_SERVICE")), nil},
		{"DNS on port 53 of the node", daemon, map[string]string{"restricted": "hostPort (", "baseline": "hostPort ("}},
		{"DNS on port 53 of the node that may listen below 1024", with(daemon, capability("NET_BIND_SERVICE")), map[string]string{"restricted": "hostPort (", "baseline": "hostPort ("}},
		{"DNS in the node's network", with(dns, func(spec *corev1.PodSpec) { spec.HostNetwork = true }), map[string]string{"restricted": "host namespaces (", "baseline": "host namespaces ("}},
		// That the plugin is at work at all.
		{"DNS with another capability", with(dns, capability("NET_ADMIN")), map[string]string{"restricted": "unrestricted capabilities (", "baseline": "non-default capabilities ("}},
		{"DNS as root", with(dns, func(spec *corev1.PodSpec) { spec.SecurityContext.RunAsUser = new(int64) }), map[string]string{"restricted": "runAsUser=0 ("}},
		{"DNS that may gain privileges", with(dns, func(spec *corev1.PodSpec) { spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil }), map[string]string{"restricted": "allowPrivilegeEscalation != false ("}},
	} {
		for level, namespace := range namespaces {
			pod := &corev1.Pod{ObjectMeta: *tc.template.ObjectMeta.DeepCopy(), Spec: *tc.template.Spec.DeepCopy()}
			pod.Name, pod.Namespace = "admit", namespace
			if pod.Spec.HostNetwork { // which makes hostPorts of all ports
				pod.Spec.Containers[0].Ports = nil
				pod.Spec.Containers[0].LivenessProbe, pod.Spec.Containers[0].ReadinessProbe = nil, nil
			}
			_, err := c.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			reason, refused := tc.refused[level]
			if !refused {
				if err != nil {
					t.Errorf("%s, %s: %v", tc.name, level, err)
				}
				continue
			}
			want := fmt.Sprintf("violates PodSecurity %q: ", level+":latest")
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "), ") {
				t.Errorf("%s, %s: got %v, want %s%s alone", tc.name, level, err, want, reason)
			}
		}
	}
}
