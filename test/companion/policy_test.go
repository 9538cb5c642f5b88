package companion_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/harness"
)

// L8: what "minilb policy" prints is what the recipe shows, and the API server takes it.
func TestPolicy(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	ns := harness.NewNamespace(t, c)
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  loadBalancerSourceRanges: [192.168.1.0/24]
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: named, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  loadBalancerSourceRanges: [192.168.1.0/24]
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
`, "NS", ns)))
	printed, err := harness.Minilb(t, "policy", "-kubeconfig", c.Kubeconfig).Output()
	harness.Must(t, err)
	var ours []string
	for document := range strings.SplitSeq(string(printed), "---\n") {
		if strings.HasPrefix(document, "# Service "+ns+"/") {
			ours = append(ours, strings.ReplaceAll(document, ns, "shop"))
		}
	}
	none := "# Service shop/named\n# there is no policy: targetPort \"http\" is a name, and no endpoint tells its number; run this again once a pod runs\n"
	shown := harness.Recipe(t, "allowed-sources.md", "Who may connect")[1]
	if len(ours) != 2 || ours[0] != none || ours[1] != shown {
		t.Errorf("got\n%s\nwant\n%s---\n%s", strings.Join(ours, "---\n"), none, shown)
	}
	harness.Must(t, c.Apply(t.Context(), string(printed)))
	policy, err := c.Client.NetworkingV1().NetworkPolicies(ns).Get(t.Context(), "web-source-ranges", metav1.GetOptions{})
	harness.Must(t, err)
	if len(policy.Spec.Ingress) != 2 || len(policy.Spec.Ingress[0].From) != 2 {
		t.Errorf("got %+v", policy.Spec)
	}
}
