package routes

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// dnsComponent is the label of what belongs to our DNS servers, as deploy/ sets it.
const dnsComponent = "app.kubernetes.io/component=dns"

// DNSServer is a ready DNS server of ours, at a port of its node.
type DNSServer struct {
	Node string
	Addr netip.AddrPort
}

// DNSServers are those behind one Service.
type DNSServers struct {
	Service cache.ObjectName
	Ready   []DNSServer // by the node's name, IPv4 first
	Without []string    // why nodes that have a server are not among them, by the node's name
	Warning string      // of what the Service does to questions, "" for none
}

// DNSService reads the Service of our DNS servers and which nodes they are on: whether one is ready, by the node's name and, of IPv4
// and of IPv6, by whether it is IPv4. A Service without a name is the only one of its namespace with their label (R23).
func DNSService(ctx context.Context, client kubernetes.Interface, name cache.ObjectName) (*corev1.Service, map[string]map[bool]bool, error) {
	service, err := findDNSService(ctx, client, name)
	if err != nil {
		return nil, nil, err
	}
	options := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name}
	list, err := client.DiscoveryV1().EndpointSlices(service.Namespace).List(ctx, options)
	if err != nil {
		return nil, nil, kube.Classify("list", "endpointslices", err)
	}
	nodes := map[string]map[bool]bool{}
	for _, slice := range list.Items {
		is4 := slice.AddressType == discoveryv1.AddressTypeIPv4
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil {
				continue
			}
			ready := nodes[*endpoint.NodeName]
			if ready == nil {
				ready = map[bool]bool{}
				nodes[*endpoint.NodeName] = ready
			}
			ready[is4] = ready[is4] || endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
		}
	}
	return service, nodes, nil
}

// FindDNSServers returns our DNS servers behind a Service, as DNSService takes it, on these nodes. It fails if none is ready, with
// what it has found all the same.
func (lan LAN) FindDNSServers(ctx context.Context, client kubernetes.Interface, nodes []*Node, name cache.ObjectName) (DNSServers, error) {
	service, on, err := DNSService(ctx, client, name)
	if err != nil {
		return DNSServers{}, err
	}
	found := DNSServers{Service: cache.ObjectName{Namespace: service.Namespace, Name: service.Name}}
	port, err := nodePort(service)
	if err != nil {
		return found, err
	}
	if _, is := service.Annotations[lb.NodePortAnnotation]; !is && service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyCluster {
		found.Warning = fmt.Sprintf("Service %s has externalTrafficPolicy Cluster: each node passes questions on to the servers of all nodes, "+
			"for some 50 s also to those of a node that has died; run a server on each node, as the shipped DaemonSet does, and set the policy to Local", found.Service)
	}
	for _, node := range slices.SortedFunc(slices.Values(nodes), func(a, b *Node) int { return cmp.Compare(a.name, b.name) }) {
		ready, has := on[node.name]
		if !has || node.ignored {
			continue
		}
		before := len(found.Ready)
		for _, is4 := range []bool{true, false} {
			if hops, _ := lan.hops(node.ips, is4); ready[is4] && len(hops) > 0 {
				found.Ready = append(found.Ready, DNSServer{node.name, netip.AddrPortFrom(hops[0], port)})
			}
		}
		switch {
		case len(found.Ready) > before:
		case ready[true] || ready[false]:
			found.Without = append(found.Without, fmt.Sprintf("node %s: no InternalIP at which its DNS server is reached", node.name))
		default:
			found.Without = append(found.Without, fmt.Sprintf("node %s: its DNS server is not ready", node.name))
		}
	}
	if len(found.Ready) == 0 {
		return found, fmt.Errorf("no node has a ready DNS server of Service %s: see kubectl -n %s get pods -l %s -o wide", found.Service, service.Namespace, dnsComponent)
	}
	return found, nil
}

func findDNSService(ctx context.Context, client kubernetes.Interface, name cache.ObjectName) (*corev1.Service, error) {
	options := metav1.ListOptions{LabelSelector: dnsComponent}
	missing := fmt.Sprintf("namespace %s has no Service with the label %s and", name.Namespace, dnsComponent)
	if name.Name != "" {
		options = metav1.ListOptions{FieldSelector: "metadata.name=" + name.Name}
		missing = fmt.Sprintf("there is no Service %s with", name)
	}
	list, err := client.CoreV1().Services(name.Namespace).List(ctx, options)
	if err != nil {
		return nil, kube.Classify("list", "services", err)
	}
	found := slices.DeleteFunc(list.Items, func(s corev1.Service) bool { return dnsPort(&s) == nil || name.Name != "" && s.Name != name.Name })
	switch len(found) {
	case 1:
		return &found[0], nil
	case 0:
		return nil, fmt.Errorf("no DNS server: %s a UDP port named dns: name it with -dns-service namespace/name", missing)
	}
	var names []string
	for _, s := range found {
		names = append(names, s.Namespace+"/"+s.Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("several Services of DNS servers: %s: name one with -dns-service", strings.Join(names, " and "))
}

// dnsPort returns the port of a Service on which our DNS servers answer, nil if it has none.
func dnsPort(s *corev1.Service) *corev1.ServicePort {
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == "dns" && p.Protocol == corev1.ProtocolUDP })
	if i < 0 {
		return nil
	}
	return &s.Spec.Ports[i]
}

// nodePort returns the port of the nodes on which the DNS servers of a Service answer (R23).
func nodePort(s *corev1.Service) (uint16, error) {
	if text, is := s.Annotations[lb.NodePortAnnotation]; is {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return 0, fmt.Errorf("the Service %s/%s has the annotation %s %q: want a port from 1 to 65535, such as 53", s.Namespace, s.Name, lb.NodePortAnnotation, text)
		}
		return uint16(port), nil
	}
	if port := dnsPort(s).NodePort; port > 0 {
		return uint16(port), nil
	}
	return 0, fmt.Errorf("the Service %s/%s of type %s has no port of the nodes: make it a NodePort or, where the pods have a port of their nodes, name that in the annotation %s",
		s.Namespace, s.Name, s.Spec.Type, lb.NodePortAnnotation)
}
