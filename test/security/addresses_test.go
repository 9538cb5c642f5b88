package security_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// wrongAddresses are those that are never answered, and whether the API server takes them for an
// EndpointSlice: the others it refuses by itself.
var wrongAddresses = []struct {
	addr  string
	taken bool
}{
	{"127.0.0.1", false}, {"127.8.8.8", false}, {"::1", false}, {"::ffff:127.0.0.1", false}, {"::7f00:1", true}, {"64:ff9b::7f00:1", true}, {"2002:7f00:1::", true},
	{"169.254.169.254", false}, {"fe80::1", false}, {"::ffff:169.254.169.254", false}, {"64:ff9b::a9fe:a9fe", true},
	{"224.0.0.1", false}, {"239.255.255.250", true}, {"ff02::1", false}, {"ff05::2", true},
	{"0.0.0.0", false}, {"::", false}, {"0.0.0.1", true}, {"255.255.255.255", true}, {ciliumAddress, true},
}

// ciliumAddress stands in the slices of Services that Cilium implements without pods (E17). It is of no
// use there alone.
const ciliumAddress = "192.192.192.192"

// What a tenant's role lets it do is not enough to point a name at an address of its choice.
func TestTenantCannotWriteAddresses(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.GatewayCluster(t, cluster.NewestGatewayAPI))
	harness.Must(t, n.Evil.Apply(n.In(harness.ExposedServiceIn("E", "web")+
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: E}, spec: {rules: [{host: i.E.example}]}}\n---\n")+
		strings.ReplaceAll(harness.Manifest(harness.Gateway{}, harness.Route{}), "NS", n.Evil.Namespace)))
	object := func(version, kind, name, fields string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name, "namespace": n.Evil.Namespace}, fields: map[string]any{},
		}}
	}
	slice := object("discovery.k8s.io/v1", "EndpointSlice", "web-1", "x")
	forbidden(t, "write an EndpointSlice", n.Evil.Write(slice))
	forbidden(t, "write Endpoints", n.Evil.Write(object("v1", "Endpoints", "web", "x")))
	for _, o := range []*unstructured.Unstructured{
		object("v1", "Service", "web", "status"), object("networking.k8s.io/v1", "Ingress", "i", "status"),
		object(harness.GatewayGroup+"/v1", "Gateway", "gw", "status"), object(harness.GatewayGroup+"/v1", "HTTPRoute", "r", "status"),
	} {
		forbidden(t, "write the status of a "+o.GetKind(), n.Evil.Write(o, "status"))
	}
	ctx, pods := t.Context(), n.Evil.Client.CoreV1().Pods(n.Evil.Namespace)
	pod, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.org/none"}}}}, metav1.CreateOptions{})
	harness.Must(t, err)
	pod.Status.PodIP = "127.0.0.1"
	_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	forbidden(t, "write a pod's status", err)
	_, err = n.Evil.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	forbidden(t, "list nodes", err)
	victims := n.Evil.Client.CoreV1().Services(n.Victim)
	_, err = victims.Get(ctx, "web", metav1.GetOptions{})
	forbidden(t, "read the victim's Service", err)
	forbidden(t, "delete the victim's Service", victims.Delete(ctx, "web", metav1.DeleteOptions{}))
}

// mayWriteAll lets the tenant write slices and status in its namespace, too.
func mayWriteAll(t *testing.T, n *harness.Tenants) {
	t.Helper()
	ctx, e := t.Context(), n.Evil.Namespace
	_, err := n.Cluster.Client.RbacV1().Roles(e).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}}, metav1.CreateOptions{})
	harness.Must(t, err)
	_, err = n.Cluster.Client.RbacV1().RoleBindings(e).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "all"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "all"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "tenant", Namespace: e}},
	}, metav1.CreateOptions{})
	harness.Must(t, err)
}

// Loopback, link-local, multicast, unspecified and broadcast addresses are never answered, whoever
// wrote them and wherever: here a tenant may write slices and status, too. Any other address it can
// lead its own names to, and nobody else's.
func TestTenantAddresses(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.GatewayCluster(t, cluster.NewestGatewayAPI))
	ctx, e := t.Context(), n.Evil.Namespace
	mayWriteAll(t, n)
	n.Up = harness.StartUpstream(t, n.In("rebind.E.net. 60 IN A 127.0.0.1"), n.In("rebind.E.net. 60 IN A 0.0.0.0"), n.In("rebind.E.net. 60 IN A 198.51.100.1"), n.In("rebind.E.net. 60 IN AAAA ::1"))
	s := n.Serve(t)
	n.Guard(t, s)
	slice := func(name, family string, addrs ...string) error {
		return n.Evil.Whole(harness.StaticSlice(e, name, family, addrs...))
	}
	cluster.Eventually(t, patience, func() error { return slice("probe", "IPv4", harness.EvilPod) })

	hosts := func(i int) (own, ingress, gateway string) {
		return fmt.Sprintf("w%02d.%s.minilb", i, e), fmt.Sprintf("w%02d.%s.example", i, e), fmt.Sprintf("g-w%02d.%s.example", i, e)
	}
	harness.Parallel(t, len(wrongAddresses), func(i int) error {
		wrong := netip.MustParseAddr(wrongAddresses[i].addr)
		name, family, beside := fmt.Sprintf("w%02d", i), "IPv6", []string{harness.EvilPod}
		_, host, gatewayHost := hosts(i)
		first := []string{wrong.String()}
		if wrong.Is4() {
			family, first = "IPv4", append(first, harness.EvilPod)
		}
		if err := n.Evil.Apply(harness.ExposedServiceIn(e, name)); err != nil {
			return err
		}
		if err := slice(name, family, first...); (err == nil) != wrongAddresses[i].taken {
			return fmt.Errorf("EndpointSlice with %s: got %v", wrong, err)
		}
		if !wrong.Is4() || !wrongAddresses[i].taken {
			if err := slice(name, "IPv4", beside...); err != nil {
				return err
			}
		}
		const ingress = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: %s, namespace: %s}, spec: {rules: [{host: %s}]}, status: {loadBalancer: {ingress: [{ip: %q}, {ip: %s}]}}}"
		err := n.Evil.Whole(fmt.Sprintf(ingress, name, e, host, wrong, harness.EvilPod))
		if wrong.Is4In6() { // the API server refuses that by itself
			if err == nil {
				return fmt.Errorf("the API server takes the status of an Ingress with %s", wrong)
			}
			err = n.Evil.Whole(fmt.Sprintf(ingress, name, e, host, "::1", harness.EvilPod))
		}
		return errors.Join(err, n.Evil.Whole(harness.Manifest(
			harness.Gateway{Namespace: e, Name: name, Addresses: fmt.Sprintf("{type: IPAddress, value: %q}, {value: %s}", wrong, harness.EvilPod)},
			harness.Route{Namespace: e, Name: name, Hosts: gatewayHost, Parents: "{name: " + name + "}"})))
	})
	for i, wrong := range wrongAddresses {
		own, ingress, gateway := hosts(i)
		names := map[string]string{"EndpointSlice": own, "Ingress": ingress, "Gateway": gateway}
		if wrong.addr == ciliumAddress {
			names = map[string]string{"EndpointSlice": own}
		}
		for kind, host := range names {
			said, want := wrong.addr, 1
			switch {
			case kind == "EndpointSlice" && (!wrong.taken || wrong.addr == ciliumAddress):
				want = 0
			case kind == "Ingress" && netip.MustParseAddr(wrong.addr).Is4In6():
				said = "::1"
			}
			cluster.Eventually(t, patience, func() error {
				told := 0
				for _, line := range s.Log.Lines(fmt.Sprintf("%s %s/w%02d", kind, e, i)) {
					if strings.Contains(line, fmt.Sprintf("address %q is not an", said)) {
						told++
					}
				}
				if told != want {
					return fmt.Errorf("%s with %s: %d lines, want %d, of\n%s", kind, wrong.addr, told, want, harness.Grep(s.Log.String(), fmt.Sprintf("%s/w%02d", e, i)))
				}
				return errors.Join(s.Expect(host, dns.TypeA, harness.EvilPod), s.ExpectRcode(host, dns.TypeAAAA, dns.RcodeSuccess))
			})
		}
	}

	// The end of an alias is up to whoever holds that domain.
	harness.Must(t, n.Evil.Whole(n.In("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: alias, namespace: E}, spec: {rules: [{host: alias.E.example}]}, status: {loadBalancer: {ingress: [{hostname: rebind.E.net}]}}}")))
	cluster.Eventually(t, patience, func() error { return s.Expect(n.In("alias.E.example"), dns.TypeA, "198.51.100.1") })
	if err := s.ExpectRcode(n.In("alias.E.example"), dns.TypeAAAA, dns.RcodeSuccess); err != nil {
		t.Error(err)
	}

	// What Services say of addresses besides, and slices that name the victim's Service from without.
	harness.Must(t, n.Evil.Apply(n.In(`
apiVersion: v1
kind: Service
metadata: {name: external, namespace: E}
spec: {type: LoadBalancer, loadBalancerClass: minilb, externalIPs: [10.1.0.99], loadBalancerIP: 127.0.0.1, ports: [{port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: elsewhere, namespace: E, annotations: {minilb/host: elsewhere.E.example}}, spec: {type: ExternalName, externalName: localhost}}`)))
	harness.Must(t, slice("web", "IPv4", harness.EvilPod))
	apiServer := cluster.PublicAddress
	harness.Must(t, n.Evil.Apply(harness.ExposedServiceIn(e, "apiserver")))
	harness.Must(t, slice("apiserver", "IPv4", apiServer))
	cluster.Eventually(t, patience, func() error { return s.Expect(n.In("apiserver.E.minilb"), dns.TypeA, apiServer) })
	if err := errors.Join(
		s.ExpectRcode(n.In("external.E.minilb"), dns.TypeA, dns.RcodeSuccess),
		s.ExpectRcode(n.In("elsewhere.E.minilb"), dns.TypeA, dns.RcodeNameError),
		s.ExpectRcode(n.In("web.E.minilb"), dns.TypeA, dns.RcodeNameError),
	); err != nil {
		t.Error(err)
	}

	// A pod in its node's network has the node's address, as it has for everybody else.
	harness.Must(t, n.Cluster.Node(ctx, "security", "192.168.7.7"))
	harness.Must(t, n.Evil.Apply(n.In("{apiVersion: v1, kind: Service, metadata: {name: host, namespace: E}, spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: host}, ports: [{port: 80}]}}")))
	harness.Must(t, n.Cluster.Pod(ctx, cluster.PodSpec{Namespace: e, Name: "host", Labels: map[string]string{"app": "host"}, Node: "security", IPs: []string{"192.168.7.7"}}))
	cluster.Eventually(t, patience, func() error { return s.Expect(n.In("host.E.minilb"), dns.TypeA, "192.168.7.7") })
}

// Who may write statuses, or has the domain that an alias leads to, points its hosts at the LAN's router or the API server, for
// browsers that hold them for the tenant's own (DNS rebinding): not where property addresses says what may be answered. Pods
// are answered wherever they are (D34).
func TestTenantRebinding(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.GatewayCluster(t, cluster.NewestGatewayAPI))
	mayWriteAll(t, n)
	const router = "192.168.1.1"
	n.Up = harness.StartUpstream(t, n.In("rebind.E.net. 60 IN A "+router), n.In("rebind.E.net. 60 IN HTTPS 1 . ipv4hint="+router), n.In("some.E.net. 60 IN A "+router), n.In("some.E.net. 60 IN A 198.51.100.1"))
	open, s := n.Serve(t), n.Serve(t, "addresses 198.51.100.0/24")
	n.Guard(t, s)
	const ingress = "\n---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: %[1]s, namespace: E}, spec: {rules: [{host: %[1]s.E.example}]}, status: {loadBalancer: {ingress: [%[2]s]}}}"
	harness.Must(t, n.Evil.Apply(harness.ExposedServiceIn(n.Evil.Namespace, "web")))
	cluster.Eventually(t, patience, func() error {
		return n.Evil.Whole(n.In(harness.StaticSlice(n.Evil.Namespace, "web", "IPv4", harness.EvilPod) +
			fmt.Sprintf(ingress, "router", "{ip: "+router+"}") + fmt.Sprintf(ingress, "both", "{ip: "+router+"}, {ip: 198.51.100.7}") +
			fmt.Sprintf(ingress, "pods", "{hostname: web.E.minilb}") + fmt.Sprintf(ingress, "alias", "{hostname: rebind.E.net}") + fmt.Sprintf(ingress, "some", "{hostname: some.E.net}") + "\n---\n" +
			harness.Manifest(harness.Gateway{Namespace: n.Evil.Namespace, Name: "gw", Addresses: "{value: " + router + "}"},
				harness.Route{Namespace: n.Evil.Namespace, Name: "r", Hosts: "gateway.E.example", Parents: "{name: gw}"})))
	})
	for _, tc := range []struct {
		host       string
		qtype      uint16
		open, want []string
	}{
		{"router", dns.TypeA, []string{router}, nil},
		{"gateway", dns.TypeA, []string{router}, nil},
		{"both", dns.TypeA, []string{router, "198.51.100.7"}, []string{"198.51.100.7"}},
		{"pods", dns.TypeA, []string{harness.EvilPod}, []string{harness.EvilPod}},
		{"alias", dns.TypeA, []string{router}, nil},
		{"alias", dns.TypeCNAME, []string{n.In("rebind.E.net.")}, nil},
		{"some", dns.TypeA, []string{router, "198.51.100.1"}, []string{"198.51.100.1"}},
	} {
		host := n.In(tc.host + ".E.example")
		cluster.Eventually(t, patience, func() error { return open.Expect(host, tc.qtype, tc.open...) })
		cluster.Eventually(t, patience, func() error { return s.Expect(host, tc.qtype, tc.want...) })
	}
	for _, id := range []string{"Ingress E/router", "Ingress E/both", "Gateway E/gw"} {
		cluster.Eventually(t, patience, func() error {
			text := fmt.Sprintf("%s: status address %q is left out: it lies in no network of the Corefile's property addresses", n.In(id), router)
			if lines := s.Log.Lines(text); len(lines) != 1 {
				return fmt.Errorf("%d lines with %q, want 1", len(lines), text)
			}
			return nil
		})
	}
	if got := rejected(s)["invalid"]; got != 3 {
		t.Errorf("%d claims are counted as invalid, want 3", got)
	}
}
