package chart_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/minilb/minilb/test/shipped"
)

// The controller's policy is for the account that the controller has, and says what its flags say (S14b).
func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		set                                  []string
		account, domain, class, defaultClass string
	}{
		{nil, "minilb-controller", `"minilb"`, `"minilb"`, "false"},
		{[]string{"domain=Cluster.LAN.,class=example.org/Mini_lb.v1,defaultClass=true"}, "minilb-controller", `"cluster.lan"`, `"example.org/Mini_lb.v1"`, "true"},
		{[]string{"controller.serviceAccount.name=writer"}, "writer", `"minilb"`, `"minilb"`, "false"},
		{[]string{"controller.serviceAccount.create=false"}, "default", `"minilb"`, `"minilb"`, "false"},
	} {
		manifest := rendered(t, test.set...)
		policy := object[admissionv1.ValidatingAdmissionPolicy](t, manifest, "ValidatingAdmissionPolicy", "minilb-controller")
		check(t, "account", policy.Spec.MatchConditions[0].Expression, `request.userInfo.username == "system:serviceaccount:minilb:`+test.account+`"`)
		check(t, "account of the pods", deployment(t, manifest, "controller").Spec.Template.Spec.ServiceAccountName, test.account)
		variables := map[string]string{}
		for _, variable := range policy.Spec.Variables {
			variables[variable.Name] = variable.Expression
		}
		for name, want := range map[string]string{"domain": test.domain, "class": test.class, "defaultClass": test.defaultClass} {
			check(t, name, variables[name], want)
		}
		binding := object[admissionv1.ValidatingAdmissionPolicyBinding](t, manifest, "ValidatingAdmissionPolicyBinding", "minilb-controller")
		check(t, "bound", binding.Spec.PolicyName, policy.Name)
	}
}

// It is there where Kubernetes has such policies and roles are made, unless it is not wanted.
func TestPolicyLeftOut(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"controller.policy=false", "controller.enabled=false", "rbac.create=false"} {
		if policed(t, rendered(t, set)) {
			t.Errorf("%s: there is a policy", set)
		}
	}
	for version, want := range map[string]bool{"1.29.14": false, "v1.30.0-eks-036c24b": true, "v1.30.4+k3s1": true, "1.36.3": true} {
		manifest, err := shipped.Helm(t.Context(), "template", "minilb", "deploy/helm/minilb", "--namespace", shipped.Namespace, "--kube-version", version)
		must(t, err)
		if policed(t, manifest) != want {
			t.Errorf("Kubernetes %s: there is a policy: %v, want %v", version, !want, want)
		}
	}
}

// policed reports whether a manifest has the controller's policy and its binding, and complains of one alone.
func policed(t *testing.T, manifest string) bool {
	t.Helper()
	n := len(slices.DeleteFunc(names(t, manifest), func(name string) bool { return !strings.HasPrefix(name, "ValidatingAdmissionPolicy") }))
	if n != 0 && n != 2 {
		t.Errorf("%d objects of a policy, want both or none", n)
	}
	return n > 0
}
