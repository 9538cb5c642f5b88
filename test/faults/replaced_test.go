package faults_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// convergence is how long what is answered may differ from what the API server has, once it can
// be reached again.
const convergence = 10 * time.Second

// state is what a cluster has in namespace world, and of the Gateway API.
type state struct {
	addr     string                  // of the endpoint of Service web, and of an Ingress
	only     string                  // a Service, the host of an Ingress and that of a route that only this state has
	gateways *harness.GatewayRelease // nil for none
}

// manifest is what the state has whether or not there is the Gateway API.
func (s state) manifest() string {
	manifest := "{apiVersion: v1, kind: Namespace, metadata: {name: world}}\n"
	for _, name := range []string{"web", s.only} {
		manifest += exposed("world", name, s.addr)
		manifest += fmt.Sprintf(`
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s, namespace: world}
spec: {rules: [{host: %[1]s.ingress.example, HTTP}]}
status: {loadBalancer: {ingress: [{ip: %[2]s}]}}
`, name, s.addr)
	}
	return manifest
}

// exposed is the manifest of a Service of ours whose only endpoint has the address, whatever
// controllers there are.
func exposed(namespace, name, addr string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[2]s-1, namespace: %[1]s, labels: {kubernetes.io/service-name: %[2]s}}
addressType: IPv4
ports: [{port: 80, protocol: TCP}]
endpoints: [{addresses: [%[3]s], conditions: {ready: true}}]
`, namespace, name, addr)
}

// make gives a cluster the state.
func (s state) make(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	harness.Must(t, cluster.Wait(t.Context(), 30*time.Second, func() error { return harness.Apply(c, s.manifest()) })) // one that has just begun refuses namespaces
	if s.gateways != nil {
		harness.ExposeGateways(t, c)
		harness.ApplyTogether(t, c, s.gateways.Definitions(t))
		harness.Must(t, c.Apply(t.Context(), s.gateways.Objects()+harness.GatewayRoute("HTTPRoute", "v1", s.only, "name: gateway-v1")))
	}
}

// answered returns an error unless the state is answered, and nothing that only the others have.
func (s state) answered(server *harness.CoreDNS, others ...state) error {
	errs := []error{
		server.Expect("web.world.minilb", dns.TypeA, s.addr), server.Expect("web.ingress.example", dns.TypeA, s.addr),
		server.Expect(s.only+".world.minilb", dns.TypeA, s.addr), server.Expect(s.only+".ingress.example", dns.TypeA, s.addr),
	}
	if s.gateways != nil {
		errs = append(errs, harness.AnswersGateways(server, *s.gateways), server.Expect(s.only+".ex.org", dns.TypeA, harness.GatewayPod))
	} else {
		errs = append(errs, nothingAnswered(server))
	}
	for _, other := range others {
		if other.only != s.only {
			errs = append(errs, other.forgotten(server))
		}
	}
	return errors.Join(errs...)
}

// forgotten returns an error if anything that only the state has is answered.
func (s state) forgotten(server *harness.CoreDNS) error {
	return errors.Join(server.ExpectRcode(s.only+".world.minilb", dns.TypeA, dns.RcodeNameError),
		harness.Forwarded(server, s.only+".ingress.example", s.only+".ex.org"))
}

// nothingAnswered returns an error if anything is that the Gateway API's objects name.
func nothingAnswered(server *harness.CoreDNS) error {
	return errors.Join(harness.Forwarded(server, harness.GatewayNames...), server.ExpectRcode("web.edge.minilb", dns.TypeA, dns.RcodeNameError))
}

// TestFaultReplaced puts API servers with other states in the place of the one that is watched:
// those of another cluster, with resourceVersions that are lower and higher than those known, one
// that was restored from a backup, and an empty one. Nothing of the old state may remain.
func TestFaultReplaced(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	other := cluster.New(t, cluster.Options{TrustOf: c})
	older := harness.GatewayReleases[2]
	before := state{addr: "10.244.0.1", only: "before"}
	ours := state{addr: "10.244.0.2", only: "ours", gateways: &harness.NewestGateways}
	theirs := state{addr: "10.244.0.3", only: "theirs"}
	later := state{addr: "10.244.0.3", only: "theirs", gateways: &older}

	before.make(t, c)
	backup := filepath.Join(t.TempDir(), "backup")
	harness.Must(t, c.BackUp(t.Context(), backup))
	ours.make(t, c)
	harness.Must(t, c.Delete(t.Context(), before.serviceAndIngress()))
	theirs.make(t, other)

	r := harness.StartRelay(t, c)
	kubeconfig := harness.KubeconfigVia(t, c.Kubeconfig, r.URL, nil)
	s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t)))
	s.WaitReady(t)
	p := harness.StartController(t, kubeconfig).WaitReady(t)
	cluster.Eventually(t, convergence, func() error { return ours.answered(s, before, theirs) })
	harness.ExpectStatus(t, c, "world", "web", "web.world.minilb")

	// What all states have has an address all the time, and the server stays ready.
	stop := harness.KeepAsking(t, s, "web.world.minilb", "web.ingress.example")
	all := []state{before, ours, theirs}
	live := 0
	expect := func(what string, c *cluster.Cluster, want state) {
		t.Helper()
		began := time.Now()
		cluster.Eventually(t, convergence, func() error { return want.answered(s, all...) })
		t.Logf("%s: its state is answered after %v", what, time.Since(began).Round(time.Millisecond))
		harness.ExpectStatus(t, c, "world", want.only, want.only+".world.minilb")
		// It is watched, too.
		live++
		name := fmt.Sprintf("live-%d", live)
		harness.Must(t, c.Apply(t.Context(), exposed("world", name, "10.244.0.9")))
		cluster.Eventually(t, convergence, func() error { return s.Expect(name+".world.minilb", dns.TypeA, "10.244.0.9") })
		harness.ExpectStatus(t, c, "world", name, name+".world.minilb")
		for earlier := range live {
			if earlier > 0 {
				harness.Must(t, s.ExpectRcode(fmt.Sprintf("live-%d.world.minilb", earlier), dns.TypeA, dns.RcodeNameError))
			}
		}
		harness.Must(t, c.Delete(t.Context(), exposed("world", name, "10.244.0.9")))
	}

	raise(t, c, version(t, other)+200)
	r.Lead(t, other)
	expect("another cluster, with lower resourceVersions", other, theirs)
	r.Lead(t, c)
	expect("another cluster, with higher resourceVersions", c, ours)
	if harness.Full {
		later.make(t, other)
		raise(t, other, version(t, c)+200)
		r.Lead(t, other)
		expect("a third, with higher resourceVersions and other kinds", other, later)
		r.Lead(t, c)
		expect("the second again, with lower resourceVersions and other kinds", c, ours)
	}
	harness.Must(t, c.Restore(t.Context(), backup))
	expect("restored from a backup", c, before)
	stop()

	harness.Must(t, c.Restore(t.Context(), ""))
	began := time.Now()
	cluster.Eventually(t, convergence, func() error {
		errs := []error{nothingAnswered(s), s.ExpectRcode("web.world.minilb", dns.TypeA, dns.RcodeNameError), harness.Forwarded(s, "web.ingress.example")}
		for _, state := range all {
			errs = append(errs, state.forgotten(s))
		}
		return errors.Join(errs...)
	})
	t.Logf("empty: nothing is answered any longer after %v", time.Since(began).Round(time.Millisecond))
	theirs.make(t, c)
	expect("filled anew", c, theirs)
	if code, _ := harness.Get(s.Ready); code != 200 {
		t.Errorf("/ready is %d in the end", code)
	}
	if _, body := harness.Get(p.URL + "/readyz"); body == "" {
		t.Error("the controller does not say that it is ready")
	}
}

// serviceAndIngress names what only the state has, for deletion.
func (s state) serviceAndIngress() string {
	return exposed("world", s.only, s.addr) + fmt.Sprintf("---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: %s, namespace: world}}\n", s.only)
}

// version returns the resourceVersion that a cluster has reached.
func version(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	list, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	harness.Must(t, err)
	number, err := strconv.Atoi(list.ResourceVersion)
	harness.Must(t, err)
	return number
}

// raise writes until a cluster has reached a resourceVersion.
func raise(t *testing.T, c *cluster.Cluster, least int) {
	t.Helper()
	maps := c.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	raised, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "raise-"}}, metav1.CreateOptions{})
	harness.Must(t, err)
	for i := 0; ; i++ {
		if number, err := strconv.Atoi(raised.ResourceVersion); err != nil || number >= least {
			harness.Must(t, err)
			return
		}
		raised, err = maps.Patch(context.Background(), raised.Name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i), metav1.PatchOptions{})
		harness.Must(t, err)
	}
}
