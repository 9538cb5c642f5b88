package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// What the README of the manifests says of the controller's policy: how other flags are told it, and how it is left out.
func TestPolicyRecipes(t *testing.T) {
	t.Parallel()
	blocks := harness.Recipe(t, "../kustomize/README.md", "The controller's policy")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks, want 2", len(blocks))
	}
	manifest, err := shipped.Overlay(blocks[0], nil)
	harness.Must(t, err)
	got := harness.ShippedObject[admissionv1.ValidatingAdmissionPolicy](t, manifest, "ValidatingAdmissionPolicy", "minilb-controller")
	want, err := shipped.Policy(map[string]string{"domain": `"lan.example.org"`, "class": `"example.org/lan"`, "defaultClass": "true"})
	harness.Must(t, err)
	if told := harness.ShippedObject[admissionv1.ValidatingAdmissionPolicy](t, want, "ValidatingAdmissionPolicy", "minilb-controller"); !slices.Equal(got.Spec.Variables, told.Spec.Variables) {
		t.Errorf("got variables %+v, want %+v", got.Spec.Variables, told.Spec.Variables)
	}

	manifest, err = shipped.Overlay(blocks[1], nil)
	harness.Must(t, err)
	if strings.Contains(manifest, "ValidatingAdmissionPolicy") || !strings.Contains(manifest, "kind: ClusterRoleBinding\n") {
		t.Errorf("the policy is not left out:\n%s", manifest)
	}
}

// In a namespace of the user's the policy holds, too (S14b).
func TestPolicyNamespace(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	manifest, err := shipped.Overlay(`
resources: [https://github.com/minilb/minilb//deploy/kustomize/base?ref=v0.1.0]
transformers: ["{apiVersion: builtin, kind: NamespaceTransformer, metadata: {name: any, namespace: lan-dns}, setRoleBindingSubjects: allServiceAccounts}"]
`, nil)
	harness.Must(t, err)
	harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: lan-dns}}\n---\n"+manifest))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), "lan-dns", harness.ControllerAccount)
	harness.Must(t, err)
	harness.Must(t, shipped.AwaitPolicy(t.Context(), kubeconfig))
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.StartController(t, kubeconfig).WaitReady(t)
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
}

// An API server without such policies takes all else of the manifests, and kubectl says what it lacks.
func TestPolicyNotServed(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{APIServerFlags: []string{
		"--runtime-config=admissionregistration.k8s.io/v1/validatingadmissionpolicies=false,admissionregistration.k8s.io/v1/validatingadmissionpolicybindings=false",
		"--disable-admission-plugins=ValidatingAdmissionPolicy",
	}})
	manifest := filepath.Join(t.TempDir(), "base.yaml")
	harness.Must(t, os.WriteFile(manifest, []byte(harness.Rendered(t, harness.Base)), 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "kubectl apply -f "+manifest)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+t.TempDir())
	harness.WithKubectl(t, cmd)
	said, err := cmd.CombinedOutput()
	if err == nil || strings.Count(string(said), `no matches for kind "ValidatingAdmissionPolicy`) != 2 {
		t.Errorf("kubectl apply: %v\n%s", err, said)
	}
	_, err = c.Client.AppsV1().DaemonSets(harness.ShippedNamespace).Get(t.Context(), harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	_, err = c.Client.AppsV1().Deployments(harness.ShippedNamespace).Get(t.Context(), harness.ControllerAccount, metav1.GetOptions{})
	harness.Must(t, err)
	for _, name := range []string{harness.DNSAccount, harness.ControllerAccount} {
		_, err := c.Client.RbacV1().ClusterRoleBindings().Get(t.Context(), name, metav1.GetOptions{})
		harness.Must(t, err)
	}
}
