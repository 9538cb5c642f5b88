package routes

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// dns returns the Service of DNS servers, as deploy/ has it.
func dns(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "minilb", Name: name, Labels: map[string]string{"app.kubernetes.io/component": "dns"}}}
	s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyLocal
	s.Spec.Ports = []corev1.ServicePort{{Name: "dns-tcp", Protocol: "TCP", NodePort: 30054}, {Name: "dns", Protocol: "UDP", NodePort: 30053}}
	if change != nil {
		change(s)
	}
	return s
}

// on returns a slice of a Service of DNS servers: those of "node1 !node2" are ready, and are not.
func on(service string, family discoveryv1.AddressType, nodes string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{AddressType: family}
	slice.Namespace, slice.Name, slice.Labels = "minilb", strings.ToLower(service+string(family)), map[string]string{discoveryv1.LabelServiceName: service}
	for name := range strings.FieldsSeq(nodes) {
		name, unready := strings.CutPrefix(name, "!")
		endpoint := discoveryv1.Endpoint{Addresses: []string{"10.244.1.7"}, NodeName: &name}
		if name == "-" {
			endpoint.NodeName = nil
		}
		if unready {
			endpoint.Conditions.Ready = ptr.To(false)
		}
		slice.Endpoints = append(slice.Endpoints, endpoint)
	}
	return slice
}

// R23, R22, M8
func TestFindDNSServers(t *testing.T) {
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	ignored := node("node4", "", "192.168.1.34")
	ignored.Labels = map[string]string{"minilb/ignore": "true"}
	nodes := ReadNodes([]*corev1.Node{node("node2", "", "10.9.9.32 192.168.1.32 2001:db8::32"), node("node1", "", "192.168.1.31 fe80::1"), node("node3", "", "127.0.0.1"), ignored})
	annotated := func(port string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Spec.Type, s.Spec.Ports[1].NodePort, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeClusterIP, 0, ""
			s.Annotations = map[string]string{"minilb/node-port": port}
		}
	}
	elsewhere := dns("minilb-dns", nil)
	elsewhere.Namespace = "shop"
	metrics := dns("minilb-dns-metrics", func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{{Name: "metrics", Protocol: "TCP"}} })
	const one, other, addresses = "minilb/", "minilb/lan-dns", "192.168.1.0/24"
	for _, tc := range []struct {
		name, service, nodesIn string
		objects                []runtime.Object
		want, without          string
		warning, err           string
	}{
		{"both families", one, "", []runtime.Object{dns("minilb-dns", nil), metrics, on("minilb-dns", v4, "node2 node1 -"), on("minilb-dns", v6, "node1 node2"), elsewhere},
			"node1 192.168.1.31:30053, node2 10.9.9.32:30053, node2 [2001:db8::32]:30053", "", "", ""},
		{"one family", one, addresses, []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "node2 node1")}, "node1 192.168.1.31:30053, node2 192.168.1.32:30053", "", "", ""},
		{"not ready", one, addresses, []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "!node2 node1")}, "node1 192.168.1.31:30053", "node node2: its DNS server is not ready", "", ""},
		{"not ready in a family", one, addresses, []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "node2"), on("minilb-dns", v6, "!node2")}, "node2 192.168.1.32:30053", "", "", ""},
		{"one ends when its next is ready", one, addresses, []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "!node1 node1 !node1")}, "node1 192.168.1.31:30053", "", "", ""},
		{"no address", one, "", []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "node3 node4 node1"), on("minilb-dns", v6, "node1")}, "node1 192.168.1.31:30053",
			"node node3: no InternalIP at which its DNS server is reached", "", ""},
		{"a node that is gone", one, "", []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "node1 node9")}, "node1 192.168.1.31:30053", "", "", ""},
		{"a port of the nodes", one, "", []runtime.Object{dns("minilb-dns", annotated("53")), on("minilb-dns", v4, "node1")}, "node1 192.168.1.31:53", "", "", ""},
		{"another policy", one, "", []runtime.Object{dns("minilb-dns", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = "Cluster" }), on("minilb-dns", v4, "node1")}, "node1 192.168.1.31:30053", "",
			"Service minilb/minilb-dns has externalTrafficPolicy Cluster: each node passes questions on to the servers of all nodes, for some 50 s also to those of a node that has died; run a server on each node, as the shipped DaemonSet does, and set the policy to Local", ""},
		{"another policy of a port that nodes do not use", one, "", []runtime.Object{dns("minilb-dns", func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy, s.Annotations = "Cluster", map[string]string{"minilb/node-port": "53"}
		}), on("minilb-dns", v4, "node1")}, "node1 192.168.1.31:53", "", "", ""},
		{"named", other, "", []runtime.Object{dns("minilb-dns", nil), dns("lan-dns", func(s *corev1.Service) { s.Labels = nil }), on("minilb-dns", v4, "node2"), on("lan-dns", v4, "node1")}, "node1 192.168.1.31:30053", "", "", ""},
		{"none ready", one, "", []runtime.Object{dns("minilb-dns", nil), on("minilb-dns", v4, "!node1")}, "", "node node1: its DNS server is not ready", "",
			"no node has a ready DNS server of Service minilb/minilb-dns: see kubectl -n minilb get pods -l app.kubernetes.io/component=dns -o wide"},
		{"no Service", one, "", []runtime.Object{elsewhere, metrics}, "", "", "", "no DNS server: namespace minilb has no Service with the label app.kubernetes.io/component=dns and a UDP port named dns: name it with -dns-service namespace/name"},
		{"none of the name", other, "", []runtime.Object{dns("minilb-dns", nil)}, "", "", "", "no DNS server: there is no Service minilb/lan-dns with a UDP port named dns: name it with -dns-service namespace/name"},
		{"several", one, "", []runtime.Object{dns("minilb-dns", nil), dns("lan-dns", nil)}, "", "", "", "several Services of DNS servers: minilb/lan-dns and minilb/minilb-dns: name one with -dns-service"},
		{"no port", one, "", []runtime.Object{dns("minilb-dns", func(s *corev1.Service) { annotated("")(s); s.Annotations = nil })}, "", "", "",
			"the Service minilb/minilb-dns of type ClusterIP has no port of the nodes: make it a NodePort or, where the pods have a port of their nodes, name that in the annotation minilb/node-port"},
		{"malformed port", one, "", []runtime.Object{dns("minilb-dns", annotated("053 "))}, "", "", "", `the Service minilb/minilb-dns has the annotation minilb/node-port "053 ": want a port from 1 to 65535, such as 53`},
		{"port 0", one, "", []runtime.Object{dns("minilb-dns", annotated("0"))}, "", "", "", `the Service minilb/minilb-dns has the annotation minilb/node-port "0": want a port`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var lan LAN
			if tc.nodesIn != "" {
				lan.Nodes = prefixes(tc.nodesIn)
			}
			namespace, name, _ := strings.Cut(tc.service, "/")
			found, err := lan.FindDNSServers(t.Context(), fake.NewClientset(tc.objects...), nodes, cache.ObjectName{Namespace: namespace, Name: name})
			var got []string
			for _, server := range found.Ready {
				got = append(got, fmt.Sprintf("%s %s", server.Node, server.Addr))
			}
			if strings.Join(got, ", ") != tc.want || strings.Join(found.Without, ", ") != tc.without || found.Warning != tc.warning {
				t.Errorf("got %q, without %q, warning %q", got, found.Without, found.Warning)
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
				t.Errorf("got error %v, want %s", err, tc.err)
			}
		})
	}
}

// What cannot be read is said in one line.
func TestFindDNSServersForbidden(t *testing.T) {
	for _, resource := range []string{"services", "endpointslices"} {
		client := fake.NewClientset(dns("minilb-dns", nil))
		client.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
		})
		_, err := LAN{}.FindDNSServers(t.Context(), client, nil, cache.ObjectName{Namespace: "minilb"})
		if err == nil || !strings.HasPrefix(err.Error(), resource+": list is forbidden: ") {
			t.Errorf("got error %v", err)
		}
	}
}

// The forms of deploy/recipes/resolvers.md, of two families and two zones.
func TestResolvers(t *testing.T) {
	servers := []netip.AddrPort{netip.MustParseAddrPort("192.168.1.30:30053"), netip.MustParseAddrPort("[2001:db8::31]:30053")}
	for name, want := range map[string]string{
		"dnsmasq-server": "server=/minilb/192.168.1.30#30053\nserver=/minilb/2001:db8::31#30053\nrebind-domain-ok=/minilb/\n" +
			"server=/example.org/192.168.1.30#30053\nserver=/example.org/2001:db8::31#30053\nrebind-domain-ok=/example.org/\n",
		"unbound-server": "server:\n    private-domain: \"minilb\"\n    domain-insecure: \"minilb\"\nforward-zone:\n    name: \"minilb\"\n" +
			"    forward-addr: 192.168.1.30@30053\n    forward-addr: 2001:db8::31@30053\n" +
			"server:\n    private-domain: \"example.org\"\n    domain-insecure: \"example.org\"\nforward-zone:\n    name: \"example.org\"\n" +
			"    forward-addr: 192.168.1.30@30053\n    forward-addr: 2001:db8::31@30053\n",
		"bind-server": "# in options: validate-except { \"minilb\"; \"example.org\"; };\n" +
			"# and at the end of its deny-answer-addresses, if it has that: except-from { \"minilb\"; \"example.org\"; }\n" +
			"zone \"minilb\" {\n    type forward;\n    forward only;\n    forwarders { 192.168.1.30 port 30053; 2001:db8::31 port 30053; };\n};\n" +
			"zone \"example.org\" {\n    type forward;\n    forward only;\n    forwarders { 192.168.1.30 port 30053; 2001:db8::31 port 30053; };\n};\n",
		"coredns-server": "minilb {\n    forward . 192.168.1.30:30053 [2001:db8::31]:30053\n}\nexample.org {\n    forward . 192.168.1.30:30053 [2001:db8::31]:30053\n}\n",
		"macos-resolver": "# /etc/resolver/minilb\nnameserver 192.168.1.30\nnameserver 2001:db8::31\nport 30053\n" +
			"# /etc/resolver/example.org\nnameserver 192.168.1.30\nnameserver 2001:db8::31\nport 30053\n",
	} {
		if got := ofResolver(t, name, []string{"minilb", "example.org"}, servers); got != want {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
	}
	// Windows asks at no other port than 53.
	if text, err := writeResolver(t, "windows-nrpt", []string{"minilb"}, servers); err == nil || !strings.HasPrefix(err.Error(), "the servers are at port 30053, and Windows asks at port 53 only: ") || text != "" {
		t.Errorf("got %q, %v", text, err)
	}
	const rules = "Get-DnsClientNrptRule | Where-Object Comment -eq 'minilb' | Remove-DnsClientNrptRule -Force\n" +
		"Add-DnsClientNrptRule -Namespace 'minilb','.minilb' -NameServers '192.168.1.30','2001:db8::31' -Comment 'minilb'\n" +
		"Add-DnsClientNrptRule -Namespace 'example.org','.example.org' -NameServers '192.168.1.30','2001:db8::31' -Comment 'minilb'\n" +
		"Clear-DnsClientCache\n"
	at53 := []netip.AddrPort{netip.AddrPortFrom(servers[0].Addr(), 53), netip.AddrPortFrom(servers[1].Addr(), 53)}
	if got := ofResolver(t, "windows-nrpt", []string{"minilb", "example.org"}, at53); got != rules {
		t.Errorf("got\n%swant\n%s", got, rules)
	}
	if _, is := ResolverByName("dnsmasq"); is {
		t.Error("a format of routes is one of resolvers")
	}
	// CoreDNS does not start with more.
	for range 15 {
		servers = append(servers, netip.AddrPortFrom(servers[len(servers)-1].Addr().Next(), 30053))
	}
	wantMacOS := "# /etc/resolver/minilb\n# macOS takes 3 servers: 14 are left out\nnameserver 192.168.1.30\nnameserver 2001:db8::31\nnameserver 2001:db8::32\nport 30053\n"
	if got := ofResolver(t, "macos-resolver", []string{"minilb"}, servers); got != wantMacOS {
		t.Errorf("got\n%s", got)
	}
	want := "# forward takes 15 servers: 2 are left out\nminilb {\n    forward . 192.168.1.30:30053 [2001:db8::31]:30053 "
	if got := ofResolver(t, "coredns-server", []string{"minilb"}, servers); !strings.HasPrefix(got, want) || strings.Count(got, ":30053") != 15 {
		t.Errorf("got\n%s", got)
	}
}

func ofResolver(t *testing.T, name string, zones []string, servers []netip.AddrPort) string {
	t.Helper()
	text, err := writeResolver(t, name, zones, servers)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeResolver(t *testing.T, name string, zones []string, servers []netip.AddrPort) (string, error) {
	t.Helper()
	format, is := ResolverByName(name)
	if !is {
		t.Fatalf("there is no format %s", name)
	}
	var ready []DNSServer
	for _, server := range servers {
		ready = append(ready, DNSServer{"node1", server})
	}
	return format.Write(zones, ready)
}
