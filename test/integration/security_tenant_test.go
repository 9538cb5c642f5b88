package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
)

// tenant is a ServiceAccount that may do in its namespace what the built-in ClusterRole "admin"
// lets it, and everything with the Gateway API's objects but write their status. What it writes it
// writes with its own token.
type tenant struct {
	namespace string
	client    kubernetes.Interface
	dynamic   dynamic.Interface
}

// tenants are two of them and a server that knows of both alone: a victim, which has been there
// for longer, and one that wants what the victim has.
type tenants struct {
	cluster *cluster.Cluster
	victim  string // namespace
	evil    *tenant
	up      string // address of the upstream, which knows no name of theirs
}

// The addresses of the tenants' pods.
const (
	victimPod = "10.1.0.1"
	evilPod   = "10.66.0.1"
)

// newTenants makes both: the victim with Service web, which has the hosts www.V.example and
// *.apps.V.example, and the other with Service old, which is older than that.
func newTenants(t *testing.T, c *cluster.Cluster) *tenants {
	t.Helper()
	n := &tenants{cluster: c, evil: newTenant(t, c)}
	n.up = startUpstream(t)
	must(t, n.evil.apply(exposedServiceIn(n.evil.namespace, "old")))
	time.Sleep(1100 * time.Millisecond) // to be older by creationTimestamp's second
	n.victim = newNamespace(t, c)
	must(t, c.Apply(t.Context(), n.in(exposedServiceIn("V", "web", victimPod, "annotations: {minilb/host: 'www.V.example,*.apps.V.example'}"))))
	time.Sleep(1100 * time.Millisecond)
	return n
}

// newTenant makes a tenant with a namespace and an account, and a Service's endpoints for it to use.
func newTenant(t *testing.T, c *cluster.Cluster) *tenant {
	t.Helper()
	ctx, e := t.Context(), &tenant{namespace: newNamespace(t, c)}
	_, err := c.Client.CoreV1().ServiceAccounts(e.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.Client.RbacV1().Roles(e.namespace).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "gateways"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{gatewayGroup}, Resources: []string{"gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes"}, Verbs: []string{"*"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	for kind, role := range map[string]string{"ClusterRole": "admin", "Role": "gateways"} {
		_, err = c.Client.RbacV1().RoleBindings(e.namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "tenant-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "tenant", Namespace: e.namespace}},
		}, metav1.CreateOptions{})
		must(t, err)
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, e.namespace, "tenant")
	must(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	config.QPS = -1
	e.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	e.dynamic, err = dynamic.NewForConfig(config)
	must(t, err)
	// The authorizer learns of the bindings by a watch of its own.
	cluster.Eventually(t, 10*time.Second, func() error {
		_, err := e.client.CoreV1().Services(e.namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	return e
}

// in puts the tenants' namespaces in place of V and E, where these stand by themselves.
func (n *tenants) in(text string) string {
	return strings.NewReplacer(
		"namespace: V,", "namespace: "+n.victim+",", "namespace: E,", "namespace: "+n.evil.namespace+",",
		"namespace: V}", "namespace: "+n.victim+"}", "namespace: E}", "namespace: "+n.evil.namespace+"}",
		"V.", n.victim+".", "E.", n.evil.namespace+".", "V/", n.victim+"/", "E/", n.evil.namespace+"/",
	).Replace(text)
}

// serve starts a server that reads the two namespaces, with these properties beside.
func (n *tenants) serve(t *testing.T, properties ...string) *coredns {
	t.Helper()
	s := startCoreDNS(t, resolverFor(shippedAccounts(t, n.cluster).dns, n.up, append(properties, "namespaces "+n.victim+" "+n.evil.namespace)...))
	s.waitReady(t)
	return s
}

// tenantResources are those that a tenant writes, and whether what it writes has a status.
var tenantResources = map[string]schema.GroupVersionResource{
	"Service":       {Version: "v1", Resource: "services"},
	"EndpointSlice": {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"Endpoints":     {Version: "v1", Resource: "endpoints"},
	"Ingress":       {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"Gateway":       {Group: gatewayGroup, Version: "v1", Resource: "gateways"},
	"ListenerSet":   {Group: gatewayGroup, Version: "v1", Resource: "listenersets"},
	"HTTPRoute":     httpRoutes,
	"TLSRoute":      {Group: gatewayGroup, Version: "v1", Resource: "tlsroutes"},
}

// apply applies the objects of a manifest as the tenant. Those that it may not write, a slice or a
// status, are left out.
func (e *tenant) apply(manifest string) error {
	for _, text := range strings.Split(manifest, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			return err
		}
		delete(object.Object, "status")
		if object.Object == nil || object.GetKind() == "EndpointSlice" {
			continue
		}
		if err := e.write(object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// whole applies the objects of a manifest as the tenant, with what it may not write as a rule: slices
// and status.
func (e *tenant) whole(manifest string) error {
	for _, text := range strings.Split(manifest, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			return err
		}
		if object.Object == nil {
			continue
		}
		status := object.Object["status"]
		delete(object.Object, "status")
		if err := e.write(object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if status == nil {
			continue
		}
		object.Object = map[string]any{
			"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(),
			"metadata": map[string]any{"name": object.GetName(), "namespace": object.GetNamespace()}, "status": status,
		}
		if err := e.write(object, "status"); err != nil {
			return fmt.Errorf("the status of %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// write applies one object, or a subresource of it, as the tenant.
func (e *tenant) write(object *unstructured.Unstructured, subresource ...string) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	force := true
	_, err = e.dynamic.Resource(tenantResources[object.GetKind()]).Namespace(object.GetNamespace()).
		Patch(context.Background(), object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "tenant", Force: &force}, subresource...)
	return err
}

// claim makes a Service of the tenant's that claims hosts, as they are written. Its endpoints are
// made by the cluster's administrator: an account of this kind cannot.
func (n *tenants) claim(t *testing.T, name, hosts string) {
	t.Helper()
	annotations, err := json.Marshal(map[string]string{"minilb/host": hosts})
	must(t, err)
	must(t, n.evil.apply(exposedServiceIn(n.evil.namespace, name, "annotations: "+string(annotations))))
	must(t, n.cluster.Apply(t.Context(), staticSlice(n.evil.namespace, name, "IPv4", evilPod)))
}

// guard asks for the victim's names, without pause, until the test ends, and fails it if one is
// ever answered otherwise than it should be.
func (n *tenants) guard(t *testing.T, s *coredns) {
	t.Helper()
	questions := []func() error{
		func() error { return s.expect("web."+n.victim+".minilb", dns.TypeA, victimPod) },
		func() error { return s.expect("www."+n.victim+".example", dns.TypeA, victimPod) },
		func() error { return s.expect("any.apps."+n.victim+".example", dns.TypeA, victimPod) },
		func() error { return s.expectRcode(n.victim+".minilb", dns.TypeA, dns.RcodeSuccess) },
		func() error { return s.expectRcode("other."+n.victim+".minilb", dns.TypeA, dns.RcodeNameError) },
		func() error { return s.expectRcode("x.web."+n.victim+".minilb", dns.TypeA, dns.RcodeNameError) },
		func() error {
			return s.expectRcode("_http._tcp.web."+n.victim+".minilb", dns.TypeSRV, dns.RcodeNameError)
		},
		func() error { return s.expectRcode("nobodys.minilb", dns.TypeA, dns.RcodeNameError) },
		func() error { return s.expect("ns1.minilb", dns.TypeA, "127.0.0.1") },
		func() error { return s.expect("minilb", dns.TypeNS, "ns1.minilb.") },
	}
	for _, question := range questions {
		cluster.Eventually(t, 5*time.Second, question)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	asked, errs := 0, []error(nil)
	wg.Go(func() {
		for ; ctx.Err() == nil; asked++ {
			if err := questions[asked%len(questions)](); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", time.Now().Format(time.StampMilli), err))
			}
			time.Sleep(time.Millisecond)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		t.Logf("the victim's names were asked for %d times meanwhile", asked)
		if len(errs) > 0 {
			t.Errorf("of %d questions for the victim's names %d were answered otherwise: %v", asked, len(errs), errors.Join(errs[:min(5, len(errs))]...))
		}
	})
}

// rejected returns the refusals that the metric counts.
func (s *coredns) rejected() map[string]int {
	_, metrics := get(s.prom)
	counts := map[string]int{}
	for line := range strings.Lines(grep(metrics, "coredns_minilb_claims_rejected")) {
		var reason string
		var n float64
		rest := strings.TrimPrefix(line, `coredns_minilb_claims_rejected{reason="`)
		reason, rest, _ = strings.Cut(rest, `"} `)
		fmt.Sscan(rest, &n)
		if n > 0 {
			counts[reason] = int(n)
		}
	}
	return counts
}

// forbidden reports an error unless RBAC refused the request.
func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("%s: got %v, want it forbidden", what, err)
	}
}
