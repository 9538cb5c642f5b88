package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const patience = 30 * time.Second

// TestCluster asks one control plane, with everything on, for what it promises, and then stops it:
// the API server first, and at last all of it.
func TestCluster(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Options{Audit: true})
	must(t, err)
	t.Cleanup(func() { must(t, c.Stop()) })
	t.Run("runs", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *Cluster){
			"serves":          testServes,
			"podCIDRs":        testPodCIDRs,
			"endpoints":       testEndpoints,
			"strict apply":    testApplyStrict,
			"status apply":    testApplyStatus,
			"new kind":        testApplyNewKind,
			"delete":          testDelete,
			"service account": testServiceAccount,
			"audit":           testAudit,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
	})
	t.Run("outage", func(t *testing.T) { testOutage(t, c) })
	t.Run("stop", func(t *testing.T) { testStop(t, c) })
}

func testServes(t *testing.T, c *Cluster) {
	version, err := c.Client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version.GitVersion, "v1.") || version.Major != "1" || version.Minor == "" {
		t.Errorf("the server says it is %+v, which kubectl cannot parse", version)
	}
	fromFile, err := clientFrom(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	service, err := fromFile.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := service.Spec.ClusterIP; got != "10.96.0.1" {
		t.Errorf("clusterIP of the service of the API server = %q, want 10.96.0.1", got)
	}
	if _, err := fromFile.RbacV1().ClusterRoles().Get(t.Context(), "cluster-admin", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func testPodCIDRs(t *testing.T, c *Cluster) {
	ctx := t.Context()
	seen := make(map[netip.Prefix]bool)
	for _, name := range []string{"cidr-a", "cidr-b"} {
		if err := c.Node(ctx, name, "192.0.2.10", "2001:db8::10"); err != nil {
			t.Fatal(err)
		}
		prefixes, err := c.NodePodCIDRs(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(prefixes) != 2 {
			t.Fatalf("podCIDRs of %s = %v, want two", name, prefixes)
		}
		for i, within := range strings.Split(PodCIDRs, ",") {
			if outer := netip.MustParsePrefix(within); !outer.Overlaps(prefixes[i]) || seen[prefixes[i]] {
				t.Errorf("podCIDR %v of %s is outside %v or another node's", prefixes[i], name, outer)
			}
			seen[prefixes[i]] = true
		}
	}
	node, err := c.Client.CoreV1().Nodes().Get(ctx, "cidr-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(node.Status.Addresses); got != 3 {
		t.Errorf("the node has %d addresses, want its name and two internal ones", got)
	}
	if len(node.Spec.Taints) > 0 {
		t.Errorf("the node has taints %v", node.Spec.Taints)
	}
}

// testEndpoints follows a Service through the life of its pods.
func testEndpoints(t *testing.T, c *Cluster) {
	ctx := t.Context()
	labels := map[string]string{"app": "web"}
	must(t, c.Node(ctx, "worker"))
	must(t, c.Apply(ctx, `
apiVersion: v1
kind: Namespace
metadata:
  name: endpoints
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: endpoints
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
`))
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	for _, pod := range []PodSpec{
		{Name: "ready", IPs: []string{"10.244.0.1", "fd00:10:244::1"}},
		{Name: "unready", IPs: []string{"10.244.0.2", "fd00:10:244::2"}, Unready: true},
		{Name: "leaving", IPs: []string{"10.244.0.3", "fd00:10:244::3"}, Hostname: "last"},
		{Name: "done", IPs: []string{"10.244.0.4", "fd00:10:244::4"}, Phase: corev1.PodSucceeded},
	} {
		pod.Namespace, pod.Labels, pod.Node, pod.Ports = "endpoints", labels, "worker", ports
		must(t, c.Pod(ctx, pod))
	}
	must(t, c.Terminate(ctx, "endpoints", "leaving"))
	wantEndpoints(t, c,
		"10.244.0.1 ready serving", "10.244.0.2", "10.244.0.3 serving terminating",
		"fd00:10:244::1 ready serving", "fd00:10:244::2", "fd00:10:244::3 serving terminating",
	)

	must(t, c.SetReady(ctx, "endpoints", "unready", true))
	must(t, c.SetReady(ctx, "endpoints", "ready", false))
	must(t, c.RemovePod(ctx, "endpoints", "leaving"))
	wantEndpoints(t, c,
		"10.244.0.1", "10.244.0.2 ready serving",
		"fd00:10:244::1", "fd00:10:244::2 ready serving",
	)

	must(t, c.Pod(ctx, PodSpec{Namespace: "endpoints", Name: "homeless", IPs: []string{"10.244.0.5"}}))
	if err := c.Terminate(ctx, "endpoints", "homeless"); err == nil {
		t.Error("a pod without a node could be terminated")
	}
}

// wantEndpoints waits for the endpoints of endpoints/web, as their address and
// the conditions that are true.
func wantEndpoints(t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	Eventually(t, patience, func() error {
		slices, err := c.Client.DiscoveryV1().EndpointSlices("endpoints").List(t.Context(), metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=web",
		})
		if err != nil {
			return err
		}
		if got := endpoints(slices.Items); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("endpoints = %q, want %q", got, want)
		}
		return nil
	})
}

func endpoints(items []discoveryv1.EndpointSlice) []string {
	var got []string
	for _, slice := range items {
		for _, endpoint := range slice.Endpoints {
			text := endpoint.Addresses[0]
			for _, condition := range []struct {
				name string
				is   *bool
			}{
				{"ready", endpoint.Conditions.Ready},
				{"serving", endpoint.Conditions.Serving},
				{"terminating", endpoint.Conditions.Terminating},
			} {
				if condition.is != nil && *condition.is {
					text += " " + condition.name
				}
			}
			got = append(got, text)
		}
	}
	slices.Sort(got)
	return got
}

func testApplyStrict(t *testing.T, c *Cluster) {
	for name, manifest := range map[string]string{
		"unknown field": `{apiVersion: v1, kind: Service, metadata: {name: strict}, spec: {ports: [{port: 80}], colour: red}}`,
		"duplicate field": `
apiVersion: v1
kind: ConfigMap
metadata: {name: strict}
data: {key: one, key: two}`,
		"unknown kind":            `{apiVersion: v1, kind: Servise, metadata: {name: strict}}`,
		"unknown field of status": `{apiVersion: v1, kind: Service, metadata: {name: strict-status}, spec: {ports: [{port: 80}]}, status: {colour: red}}`,
	} {
		if err := c.Apply(t.Context(), manifest); err == nil {
			t.Errorf("%s: applied", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	_, err := c.Client.CoreV1().Services("default").Get(t.Context(), "strict", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("get the service that was refused: %v", err)
	}
}

func testApplyStatus(t *testing.T, c *Cluster) {
	const manifest = `
# an Ingress and what its controller made of it
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: front
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
status:
  loadBalancer:
    ingress: [{hostname: %s}]
`
	for _, hostname := range []string{"one.example", "two.example"} {
		must(t, c.Apply(t.Context(), fmt.Sprintf(manifest, hostname)))
		ingress, err := c.Client.NetworkingV1().Ingresses("default").Get(t.Context(), "front", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ingress.Status.LoadBalancer.Ingress; len(got) != 1 || got[0].Hostname != hostname {
			t.Errorf("status = %v, want %s", got, hostname)
		}
	}
}

func testApplyNewKind(t *testing.T, c *Cluster) {
	must(t, c.Apply(t.Context(), `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gnomes.garden.example
spec:
  group: garden.example
  scope: Namespaced
  names: {kind: Gnome, plural: gnomes, singular: gnome, listKind: GnomeList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {hat: {type: string}}}
          status: {type: object, properties: {mood: {type: string}}}
status:
  acceptedNames: {kind: "", plural: ""}
  conditions: null
  storedVersions: null
---
apiVersion: v1
kind: List
items:
- {apiVersion: garden.example/v1, kind: Gnome, metadata: {name: bert}, spec: {hat: red}, status: {mood: fine}}
`))
}

func testDelete(t *testing.T, c *Cluster) {
	const manifest = `
apiVersion: v1
kind: Namespace
metadata: {name: doomed}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: doomed, namespace: doomed}
---
`
	must(t, c.Apply(t.Context(), manifest))
	must(t, c.Delete(t.Context(), manifest))
	Eventually(t, patience, func() error {
		_, err := c.Client.CoreV1().Namespaces().Get(t.Context(), "doomed", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get the namespace: %w", errors.Join(err, errors.New("it is there")))
	})
	must(t, c.Delete(t.Context(), manifest))
	must(t, c.Delete(t.Context(), `{apiVersion: nowhere.example/v1, kind: Nothing, metadata: {name: doomed}}`))
}

// testServiceAccount asks with an account's token before and after a role
// lets it, and with a token that is none.
func testServiceAccount(t *testing.T, c *Cluster) {
	ctx := t.Context()
	must(t, c.Apply(ctx, `{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}`))
	path, err := c.ServiceAccountKubeconfig(ctx, "default", "reader")
	must(t, err)
	client, err := clientFrom(path)
	must(t, err)
	list := func() error {
		_, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(); !apierrors.IsForbidden(err) {
		t.Errorf("list services without a role: %v, want forbidden", err)
	}
	must(t, c.Apply(ctx, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [services], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
`))
	Eventually(t, patience, list)

	path, err = c.TokenKubeconfig("not.a.token")
	must(t, err)
	client, err = clientFrom(path)
	must(t, err)
	if err := list(); !apierrors.IsUnauthorized(err) {
		t.Errorf("list services with a bad token: %v, want unauthorized", err)
	}
}

func testAudit(t *testing.T, c *Cluster) {
	_, err := c.Client.CoreV1().ConfigMaps("default").Get(t.Context(), "audited", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	requests, err := c.Requests()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(requests, func(r Request) bool {
		return r.Verb == "get" && r.URI == "/api/v1/namespaces/default/configmaps/audited" &&
			r.Code == http.StatusNotFound && r.User == "admin" && !r.Time.IsZero() && r.Stage == "ResponseComplete"
	}) {
		t.Errorf("the audit log of %d requests lacks the last one", len(requests))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func clientFrom(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
