package shipped

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
)

// policyKinds are those of the controller's policy.
var policyKinds = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

// policyTimeout bounds the wait for the API server to enforce a policy, which takes it a second or two.
const policyTimeout = 30 * time.Second

// anySettings are variables of the controller's policy under which it permits every class and domain, each Service
// its own: tests that run side by side have classes of their own.
var anySettings = map[string]string{
	"domain":       `object.status.?loadBalancer.?ingress[?0].?hostname.orValue("").replace(object.metadata.name + "." + object.metadata.namespace + ".", "", 1)`,
	"class":        `object.spec.?loadBalancerClass.orValue("none")`,
	"defaultClass": "true",
}

// Policy returns the controller's policy and its binding as deploy/kustomize/base has them, with other expressions
// for some of its variables.
func Policy(variables map[string]string) (string, error) {
	manifest, err := Base()
	if err != nil {
		return "", err
	}
	chosen, err := OfKinds(manifest, policyKinds...)
	if err != nil {
		return "", err
	}
	documents, err := Documents(chosen)
	if err != nil {
		return "", err
	}
	if len(documents) != len(policyKinds) {
		return "", fmt.Errorf("%d objects of a policy, want %d", len(documents), len(policyKinds))
	}
	var policy admissionv1.ValidatingAdmissionPolicy
	if err := yaml.UnmarshalStrict([]byte(documents[0]), &policy); err != nil {
		return "", fmt.Errorf("read the controller's policy: %w", err)
	}
	for name, expression := range variables {
		i := slices.IndexFunc(policy.Spec.Variables, func(v admissionv1.Variable) bool { return v.Name == name })
		if i < 0 {
			return "", fmt.Errorf("the controller's policy has no variable %s", name)
		}
		policy.Spec.Variables[i].Expression = expression
	}
	text, err := yaml.Marshal(policy)
	return string(text) + "---\n" + documents[1], err
}

// AwaitPolicy waits until the API server refuses the controller's account, behind a kubeconfig, what a policy
// forbids it.
func AwaitPolicy(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("await the controller's policy: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("await the controller's policy: %w", err)
	}
	return cluster.Wait(ctx, policyTimeout, func() error {
		_, err := client.CoreV1().Services("default").Patch(ctx, "kubernetes", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
			return errors.Join(errors.New("the controller's policy is not enforced yet"), err)
		}
		return nil
	})
}
