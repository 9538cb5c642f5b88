package chart_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/minilb/minilb/test/shipped"
)

// L9: the policy is there if it is asked for, and is that of deploy/kustomize with the seconds of the value.
func TestDrain(t *testing.T) {
	t.Parallel()
	kustomized, err := shipped.Overlay("components: [https://github.com/minilb/minilb//deploy/kustomize/components/drain?ref=v0.1.0]", nil)
	must(t, err)
	want := object[admissionv1.MutatingAdmissionPolicy](t, kustomized, "MutatingAdmissionPolicy", "minilb-drain")
	for seconds, set := range map[string]string{"7": "drain.enabled=true", "65": "drain.enabled=true,drain.seconds=65"} {
		manifest := rendered(t, set)
		got := object[admissionv1.MutatingAdmissionPolicy](t, manifest, "MutatingAdmissionPolicy", "minilb-drain")
		want.Spec.Variables[0].Expression = seconds
		check(t, set, got.Spec, want.Spec)
		binding := object[admissionv1.MutatingAdmissionPolicyBinding](t, manifest, "MutatingAdmissionPolicyBinding", "minilb-drain")
		check(t, "bound", binding.Spec.PolicyName, got.Name)
	}
	if manifest := rendered(t); strings.Contains(manifest, "MutatingAdmissionPolicy") {
		t.Errorf("there is a policy that nobody has asked for")
	}
	_, err = shipped.Helm(t.Context(), "template", "minilb", "deploy/helm/minilb", "--kube-version", "1.35.2", "--set", "drain.enabled=true")
	if err == nil || !strings.Contains(err.Error(), "drain.enabled takes Kubernetes 1.36, which has MutatingAdmissionPolicies, and this is v1.35.2") {
		t.Errorf("Kubernetes 1.35: got %v", err)
	}
}

// The controller may list pods unless that, or Events, are not wanted.
func TestReadPods(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]bool{"controller.readPods=true": true, "controller.readPods=false": false, "controller.events=false": false} {
		role := object[rbacv1.ClusterRole](t, rendered(t, set), "ClusterRole", "minilb-controller")
		got := slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "pods") })
		check(t, set, got, want)
	}
}
