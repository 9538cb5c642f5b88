package harness

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

// Tenant is a ServiceAccount that may do in its namespace what the built-in ClusterRole "admin"
// lets it, and everything with the Gateway API's objects but write their status. What it writes it
// writes with its own token.
type Tenant struct {
	Namespace string
	Client    kubernetes.Interface
	dynamic   dynamic.Interface
}

// Tenants are two of them and a server that knows of both alone: a victim, which has been there
// for longer, and one that wants what the victim has.
type Tenants struct {
	Cluster *cluster.Cluster
	Victim  string // namespace
	Evil    *Tenant
	Up      string // address of the upstream, which knows no name of theirs
}

// The addresses of the tenants' pods.
const (
	VictimPod = "10.1.0.1"
	EvilPod   = "10.66.0.1"
)

// NewTenants makes both: the victim with Service web, which has the hosts www.V.example and
// *.apps.V.example, and the other with Service old, which is older than that.
func NewTenants(t *testing.T, c *cluster.Cluster) *Tenants {
	t.Helper()
	n := &Tenants{Cluster: c, Evil: newTenant(t, c)}
	n.Up = StartUpstream(t)
	Must(t, n.Evil.Apply(ExposedServiceIn(n.Evil.Namespace, "old")))
	NextSecond(t, GetService(t, c, n.Evil.Namespace, "old"))
	n.Victim = NewNamespace(t, c)
	Must(t, c.Apply(t.Context(), n.In(ExposedServiceIn("V", "web", VictimPod, "annotations: {minilb/host: 'www.V.example,*.apps.V.example'}"))))
	return n
}

// NextSecond sleeps until an object that is created is younger than this one: creationTimestamp
// has whole seconds.
func NextSecond(t *testing.T, object metav1.Object) {
	t.Helper()
	created := object.GetCreationTimestamp()
	if created.IsZero() {
		t.Fatalf("%s has no creationTimestamp", object.GetName())
	}
	const slack = 10 * time.Millisecond // as the clock may be slewed while we sleep
	time.Sleep(time.Until(created.Add(time.Second + slack)))
}

// newTenant makes a tenant with a namespace and an account, and a Service's endpoints for it to use.
func newTenant(t *testing.T, c *cluster.Cluster) *Tenant {
	t.Helper()
	ctx, e := t.Context(), &Tenant{Namespace: NewNamespace(t, c)}
	_, err := c.Client.CoreV1().ServiceAccounts(e.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}, metav1.CreateOptions{})
	Must(t, err)
	_, err = c.Client.RbacV1().Roles(e.Namespace).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "gateways"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{GatewayGroup}, Resources: []string{"gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes"}, Verbs: []string{"*"}}},
	}, metav1.CreateOptions{})
	Must(t, err)
	for kind, role := range map[string]string{"ClusterRole": "admin", "Role": "gateways"} {
		_, err = c.Client.RbacV1().RoleBindings(e.Namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "tenant-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "tenant", Namespace: e.Namespace}},
		}, metav1.CreateOptions{})
		Must(t, err)
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, e.Namespace, "tenant")
	Must(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	Must(t, err)
	config.QPS = -1
	e.Client, err = kubernetes.NewForConfig(config)
	Must(t, err)
	e.dynamic, err = dynamic.NewForConfig(config)
	Must(t, err)
	// The authorizer learns of the bindings by a watch of its own.
	cluster.Eventually(t, 10*time.Second, func() error {
		_, err := e.Client.CoreV1().Services(e.Namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	return e
}

// In puts the tenants' namespaces in place of V and E, where these stand by themselves.
func (n *Tenants) In(text string) string {
	return strings.NewReplacer(
		"namespace: V,", "namespace: "+n.Victim+",", "namespace: E,", "namespace: "+n.Evil.Namespace+",",
		"namespace: V}", "namespace: "+n.Victim+"}", "namespace: E}", "namespace: "+n.Evil.Namespace+"}",
		"V.", n.Victim+".", "E.", n.Evil.Namespace+".", "V/", n.Victim+"/", "E/", n.Evil.Namespace+"/",
	).Replace(text)
}

// Serve starts a server that reads the two namespaces, with these properties beside. When it
// returns, what the tenant creates is younger than the victim's Service.
func (n *Tenants) Serve(t *testing.T, properties ...string) *CoreDNS {
	t.Helper()
	s := StartCoreDNS(t, ResolverFor(ShippedAccounts(t, n.Cluster).DNS, n.Up, append(properties, "namespaces "+n.Victim+" "+n.Evil.Namespace)...))
	s.WaitReady(t)
	NextSecond(t, GetService(t, n.Cluster, n.Victim, "web"))
	return s
}

// tenantResources are those that a tenant writes, and whether what it writes has a status.
var tenantResources = map[string]schema.GroupVersionResource{
	"Service":       {Version: "v1", Resource: "services"},
	"EndpointSlice": {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"Endpoints":     {Version: "v1", Resource: "endpoints"},
	"Ingress":       {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"Gateway":       {Group: GatewayGroup, Version: "v1", Resource: "gateways"},
	"ListenerSet":   {Group: GatewayGroup, Version: "v1", Resource: "listenersets"},
	"HTTPRoute":     HttpRoutes,
	"TLSRoute":      {Group: GatewayGroup, Version: "v1", Resource: "tlsroutes"},
}

// Apply applies the objects of a manifest as the tenant. Those that it may not write, a slice or a
// status, are left out.
func (e *Tenant) Apply(manifest string) error {
	for _, text := range strings.Split(manifest, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			return err
		}
		delete(object.Object, "status")
		if object.Object == nil || object.GetKind() == "EndpointSlice" {
			continue
		}
		if err := e.Write(object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// Whole applies the objects of a manifest as the tenant, with what it may not write as a rule: slices
// and status.
func (e *Tenant) Whole(manifest string) error {
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
		if err := e.Write(object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if status == nil {
			continue
		}
		object.Object = map[string]any{
			"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(),
			"metadata": map[string]any{"name": object.GetName(), "namespace": object.GetNamespace()}, "status": status,
		}
		if err := e.Write(object, "status"); err != nil {
			return fmt.Errorf("the status of %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// Write applies one object, or a subresource of it, as the tenant.
func (e *Tenant) Write(object *unstructured.Unstructured, subresource ...string) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	force := true
	_, err = e.dynamic.Resource(tenantResources[object.GetKind()]).Namespace(object.GetNamespace()).
		Patch(context.Background(), object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "tenant", Force: &force}, subresource...)
	return err
}

// Claim makes a Service of the tenant's that claims hosts, as they are written. Its endpoints are
// made by the cluster's administrator: an account of this kind cannot.
func (n *Tenants) Claim(t *testing.T, name, hosts string) {
	t.Helper()
	annotations, err := json.Marshal(map[string]string{"minilb/host": hosts})
	Must(t, err)
	Must(t, n.Evil.Apply(ExposedServiceIn(n.Evil.Namespace, name, "annotations: "+string(annotations))))
	Must(t, n.Cluster.Apply(t.Context(), StaticSlice(n.Evil.Namespace, name, "IPv4", EvilPod)))
}

// Guard asks for the victim's names, without pause, until the test ends, and fails it if one is
// ever answered otherwise than it should be.
func (n *Tenants) Guard(t *testing.T, s *CoreDNS) {
	t.Helper()
	questions := []func() error{
		func() error { return s.Expect("web."+n.Victim+".minilb", dns.TypeA, VictimPod) },
		func() error { return s.Expect("www."+n.Victim+".example", dns.TypeA, VictimPod) },
		func() error { return s.Expect("any.apps."+n.Victim+".example", dns.TypeA, VictimPod) },
		func() error { return s.ExpectRcode(n.Victim+".minilb", dns.TypeA, dns.RcodeSuccess) },
		func() error { return s.ExpectRcode("other."+n.Victim+".minilb", dns.TypeA, dns.RcodeNameError) },
		func() error { return s.ExpectRcode("x.web."+n.Victim+".minilb", dns.TypeA, dns.RcodeNameError) },
		func() error {
			return s.ExpectRcode("_http._tcp.web."+n.Victim+".minilb", dns.TypeSRV, dns.RcodeNameError)
		},
		func() error { return s.ExpectRcode("nobodys.minilb", dns.TypeA, dns.RcodeNameError) },
		func() error { return s.Expect("ns1.minilb", dns.TypeA, "127.0.0.1") },
		func() error { return s.Expect("minilb", dns.TypeNS, "ns1.minilb.") },
	}
	for _, question := range questions {
		cluster.Eventually(t, 20*time.Second, question)
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
