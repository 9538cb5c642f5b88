package deploy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// chartObjects are what the chart's servers find: a Service in each of two namespaces of the
// chart's variants and in another, hosts of one, and pods.
const chartObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {routes: welcome}}
---
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
  - host: ingress.example.org
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: test}
spec: {controllerName: example.org/test}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: web}
spec:
  gatewayClassName: test
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {routes: welcome}}}}}
status: {addresses: [{type: Hostname, value: web.web.minilb}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{name: web, namespace: web}], hostnames: [route.example.org]}
status:
  parents:
  - parentRef: {name: web, namespace: web}
    controllerName: example.org/test
    conditions: [{type: Accepted, status: "True", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z", observedGeneration: 1}]
`

// TestChart applies each variant of the chart to an API server, and lets Helm install some, whose
// Corefile then runs with the rights of its account.
func TestChart(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	operator, err := cluster.PrometheusOperator(ctx)
	harness.Must(t, err)
	harness.Must(t, c.Apply(ctx, operator))
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31"))
	harness.Must(t, c.Apply(ctx, chartObjects))
	for i, namespace := range []string{"shop", "web", "other"} {
		harness.CreateService(t, c, namespace, "web", "minilb")
		harness.Must(t, c.Pod(ctx, cluster.PodSpec{
			Namespace: namespace, Name: "web-1", Labels: map[string]string{"app": "web"}, Node: "node1", IPs: []string{fmt.Sprintf("10.244.1.%d", i+1)},
		}))
	}
	t.Run("applied", func(t *testing.T) { testChartApplied(t, c) })
	t.Run("installed", func(t *testing.T) { testChartInstalled(t, c) })
	t.Run("scoped", func(t *testing.T) { testChartScoped(t, c) })
	t.Run("configured", func(t *testing.T) { testChartConfigured(t, c) })
}

// enforce makes the chart's namespace, with a level of Pod Security.
func enforce(t *testing.T, c *cluster.Cluster, level string) {
	t.Helper()
	harness.Must(t, c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: %s}}
`, harness.ShippedNamespace, level)))
}

// The API server takes every object of every variant, with no field that it does not know, and
// the pods in a namespace of the level that the README says.
func testChartApplied(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	variants, err := shipped.ChartVariants()
	harness.Must(t, err)
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		t.Run(name, func(t *testing.T) {
			manifest, err := shipped.Chart(ctx, variants[name])
			harness.Must(t, err)
			privileged := name == "daemonset" || name == "hostnetwork"
			enforce(t, c, map[bool]string{true: "privileged", false: "restricted"}[privileged])
			harness.Must(t, c.Apply(ctx, manifest))
			if name != "everything" && name != "override" { // whose accounts and classes are somebody else's
				for _, template := range podTemplates(t, manifest) {
					if err := admit(ctx, c, template); err != nil {
						t.Error(err)
					}
				}
			}
			if name == "daemonset" {
				expectPods(t, c, "DaemonSet "+harness.DNSAccount, "DaemonSet", "dns", 1)
			}
			if name == "deployment" {
				expectPods(t, c, "Deployment "+harness.DNSAccount, "ReplicaSet", "dns", 2)
			}
			harness.Must(t, c.Delete(ctx, manifest))
			chartGone(t, c)
			if !slices.Contains([]string{"default", "namespaces", "gateways"}, name) { // which are installed below
				readable(t, helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb", "--values", variants[name], "--dry-run=server"))
			}
		})
	}
	notes := readable(t, helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb", "--set", "rbac.create=false", "--dry-run=server"))
	if !strings.Contains(notes, "without rbac.create there is\nno ValidatingAdmissionPolicy") {
		t.Errorf("without rbac.create Helm says nothing of the policy:\n%s", notes)
	}
}

// admit asks the API server whether it would take a pod of the template.
func admit(ctx context.Context, c *cluster.Cluster, template corev1.PodTemplateSpec) error {
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Name = "admit"
	_, err := c.Client.CoreV1().Pods(harness.ShippedNamespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// readable checks what Helm says after an installation, and returns it.
func readable(t *testing.T, said string) string {
	t.Helper()
	_, notes, found := strings.Cut(said, "\nNOTES:\n")
	if !found {
		t.Fatalf("Helm says nothing of what comes next:\n%s", said)
	}
	for line := range strings.Lines(notes) {
		if columns := len(strings.TrimSuffix(line, "\n")); columns > 80 || strings.Contains(line, "<nil>") || strings.Contains(line, "%!") {
			t.Errorf("a line of %d columns: %q", columns, line)
		}
	}
	t.Log(notes)
	return notes
}

// podTemplates returns the templates of all pods of a manifest.
func podTemplates(t *testing.T, manifest string) []corev1.PodTemplateSpec {
	t.Helper()
	var templates []corev1.PodTemplateSpec
	for _, document := range harness.Documents(t, harness.OfKinds(t, manifest, "Deployment", "DaemonSet")) {
		var workload struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		harness.Must(t, yaml.Unmarshal([]byte(document), &workload))
		templates = append(templates, workload.Spec.Template)
	}
	if len(templates) == 0 {
		t.Error("no pods")
	}
	return templates
}

// chartResources are those whose objects show that a release is there.
var chartResources = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "prometheusrules"},
}

// chartGone waits until nothing of the chart is left.
func chartGone(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		for _, resource := range chartResources {
			list, err := c.Dynamic.Resource(resource).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=minilb"})
			if err != nil {
				return err
			}
			if len(list.Items) > 0 {
				return fmt.Errorf("%s %s is still there", resource.Resource, list.Items[0].GetName())
			}
		}
		return nil
	})
}

// helm runs Helm against the cluster.
func helm(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	said, err := shipped.Helm(t.Context(), append(args, "--kubeconfig", c.Kubeconfig, "--namespace", harness.ShippedNamespace)...)
	harness.Must(t, err)
	return said
}
