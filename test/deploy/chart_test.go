package deploy_test

import (
	"github.com/minilb/minilb/test/harness"

	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
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
			harness.Must(t, c.Delete(ctx, manifest))
			chartGone(t, c)
			said := helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb", "--values", variants[name], "--dry-run=server")
			readable(t, said)
		})
	}
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

// Helm installs the chart, says what to do next, rolls the pods when the Corefile changes, and
// leaves nothing.
func testChartInstalled(t *testing.T, c *cluster.Cluster) {
	enforce(t, c, "restricted")
	notes := readable(t, helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb"))
	for _, want := range []string{
		"kubectl -n minilb get pods -l app.kubernetes.io/instance=minilb\n",
		"kubectl -n minilb logs deployment/minilb-controller\n",
		"server=/minilb/NODE#30053\n",
		"rebind-domain-ok=/minilb/\n",
		"loadBalancerClass: minilb\n",
		"dig @NODE -p 30053 <service>.<namespace>.minilb\n",
		"get configmap minilb-corefile \\\n",
		"| minilb check -corefile -\n",
		"minilb controller -cleanup\n",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("Helm says\n%s\nwithout %q", notes, want)
		}
	}
	expectPods(t, c, "Deployment "+harness.DNSAccount, "ReplicaSet", "dns", 2)
	expectPods(t, c, "Deployment "+harness.ControllerAccount, "ReplicaSet", "controller", 1)

	s := startChart(t, c)
	checked := harness.Minilb(t, "check", "-kubeconfig", c.Kubeconfig, "-corefile", "-", "-server", s.Addr)
	checked.Stdin = strings.NewReader(installedCorefile(t, c))
	var found *exec.ExitError
	if out, err := checked.CombinedOutput(); err != nil && (!errors.As(err, &found) || found.ExitCode() != 1) {
		t.Errorf("minilb check: %v\n%s", err, out)
	}
	for name, want := range map[string]string{
		"web.shop.minilb": "10.244.1.1", "web.other.minilb": "10.244.1.3", "ingress.example.org": "10.244.1.1", "route.example.org": "10.244.1.2",
		"ns1.minilb": "192.168.1.31", "elsewhere.example.org": "192.0.2.53",
	} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, want) })
	}
	unforbidden(t, s)
	expectDrained(t, c, s)

	before := getDeployment(t, c).Spec.Template.Annotations["checksum/corefile"]
	notes = readable(t, helm(t, c, "upgrade", shipped.ChartRelease, "deploy/helm/minilb", "--reset-then-reuse-values", "--set", "plugin.ttl=9,dns.hostPort=5300"))
	if !strings.Contains(notes, "server=/minilb/NODE#5300\n") || !strings.Contains(notes, "pod-security.kubernetes.io/enforce=privileged") {
		t.Errorf("with ports of nodes Helm says\n%s", notes)
	}
	if after := getDeployment(t, c).Spec.Template.Annotations["checksum/corefile"]; after == before || after == "" {
		t.Errorf("checksum of another Corefile: got %q, of the one before %q", after, before)
	}
	helm(t, c, "uninstall", shipped.ChartRelease)
	chartGone(t, c)
}

func getDeployment(t *testing.T, c *cluster.Cluster) *appsv1.Deployment {
	t.Helper()
	deployment, err := c.Client.AppsV1().Deployments(harness.ShippedNamespace).Get(t.Context(), harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	return deployment
}

func installedCorefile(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	configMap, err := c.Client.CoreV1().ConfigMaps(harness.ShippedNamespace).Get(t.Context(), "minilb-corefile", metav1.GetOptions{})
	harness.Must(t, err)
	return configMap.Data["Corefile"]
}

// startChart runs the Corefile that is installed, with the rights of the account that is.
func startChart(t *testing.T, c *cluster.Cluster) *harness.CoreDNS {
	t.Helper()
	ctx := t.Context()
	deployment := getDeployment(t, c)
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, harness.ShippedNamespace, deployment.Spec.Template.Spec.ServiceAccountName)
	harness.Must(t, err)
	s := harness.StartCoreDNS(t, adapt(t, installedCorefile(t, c), deployment.Spec.Template.Spec.Containers[0], harness.Upstream(t)), "KUBECONFIG="+kubeconfig, "NODE_IP=192.168.1.31")
	s.WaitReady(t)
	return s
}

// expectDrained ends a server as the kubelet does: it goes on to answer while clients are led
// to others, and ends before it would be killed.
func expectDrained(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS) {
	t.Helper()
	began := time.Now()
	harness.Must(t, s.Cmd.Process.Signal(syscall.SIGTERM))
	const lameduck = 5 * time.Second
	var last time.Duration // after which it answered
	for time.Since(began) < lameduck-time.Second {
		asked := time.Since(began)
		if err := s.Expect("web.shop.minilb", dns.TypeA, "10.244.1.1"); err == nil {
			last = asked
		} else if asked = time.Since(began); asked < lameduck { // else it was us who were late
			t.Fatalf("%v after its end has begun: %v", asked, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if last < lameduck/2 {
		t.Errorf("the last answer was %v after its end had begun", last)
	}
	grace := time.Duration(*getDeployment(t, c).Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	select {
	case err := <-s.Exited:
		s.Exited <- err
	case <-time.After(grace - time.Since(began)):
		t.Errorf("it goes on for longer than %v", grace)
	}
}

// unforbidden complains of what a server may not do that it tried, and of other errors.
func unforbidden(t *testing.T, s *harness.CoreDNS) {
	t.Helper()
	if lines := append(s.Log.Lines("forbidden"), s.Log.Lines("[ERROR]")...); len(lines) > 0 {
		t.Errorf("coredns said:\n%s", strings.Join(lines, "\n"))
	}
}
