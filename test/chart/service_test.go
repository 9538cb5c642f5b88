package chart_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/shipped"
)

// ports returns a Service's ports as "name port/protocol nodePort".
func ports(service *corev1.Service) []string {
	var all []string
	for _, port := range service.Spec.Ports {
		all = append(all, fmt.Sprintf("%s %d/%s %d", port.Name, port.Port, port.Protocol, port.NodePort))
	}
	slices.Sort(all)
	return all
}

// Every knob of the Service turns something.
func TestService(t *testing.T) {
	t.Parallel()
	service := func(manifest string) *corev1.Service {
		return object[corev1.Service](t, manifest, "Service", "minilb-dns")
	}
	got := service(variant(t, "everything"))
	check(t, "type", got.Spec.Type, corev1.ServiceTypeNodePort)
	check(t, "annotation", got.Annotations, map[string]string{"example.org/service": "dns"})
	check(t, "label", got.Labels["example.org/service"], "dns")
	check(t, "ports", ports(got), []string{"dns 5300/UDP 31053", "dns-tcp 5300/TCP 31053"})
	check(t, "traffic policy", got.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
	check(t, "families' policy", *got.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
	check(t, "families", got.Spec.IPFamilies, []corev1.IPFamily{corev1.IPv4Protocol})

	got = service(variant(t, "loadbalancer"))
	check(t, "type", got.Spec.Type, corev1.ServiceTypeLoadBalancer)
	check(t, "class", *got.Spec.LoadBalancerClass, "metallb.io/metallb")
	check(t, "address", got.Spec.LoadBalancerIP, "192.168.1.53")
	check(t, "sources", got.Spec.LoadBalancerSourceRanges, []string{"192.168.0.0/16"})
	check(t, "ports", ports(got), []string{"dns 53/UDP 0", "dns-tcp 53/TCP 0"})

	got = service(rendered(t))
	check(t, "traffic policy of a DaemonSet", got.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
	check(t, "ports of a DaemonSet", ports(got), []string{"dns 53/UDP 30053", "dns-tcp 53/TCP 30053"})
	got = service(variant(t, "deployment"))
	check(t, "traffic policy of a Deployment", got.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	check(t, "ports of a Deployment", ports(got), []string{"dns 53/UDP 30053", "dns-tcp 53/TCP 30053"})

	got = service(rendered(t, "dns.service.type=ClusterIP,dns.service.clusterIP=10.96.0.53"))
	check(t, "cluster IP", got.Spec.ClusterIP, "10.96.0.53")
	check(t, "traffic policy of a cluster IP", got.Spec.ExternalTrafficPolicy, "")
	check(t, "ports of a cluster IP", ports(got), []string{"dns 53/UDP 0", "dns-tcp 53/TCP 0"})

	got = service(variant(t, "daemonset"))
	check(t, "type where nodes have the port", got.Spec.Type, corev1.ServiceTypeClusterIP)
	check(t, "annotation where nodes have the port", got.Annotations, map[string]string{"minilb/node-port": "53"})
	check(t, "ports where nodes have them", ports(got), []string{"dns 53/UDP 0", "dns-tcp 53/TCP 0"})

	got = service(variant(t, "hostnetwork"))
	check(t, "annotation where nodes answer", got.Annotations, map[string]string{"minilb/node-port": "53"})
	got = service(rendered(t, "dns.hostNetwork=true,dns.ports.dns=5300,dns.service.annotations.a=b"))
	check(t, "annotation beside others", got.Annotations, map[string]string{"minilb/node-port": "5300", "a": "b"})
	got = service(variant(t, "hostnetwork"))
	check(t, "type where nodes answer", got.Spec.Type, corev1.ServiceTypeClusterIP)
	check(t, "encrypted ports", ports(got), []string{"dns 53/UDP 0", "dns-tcp 53/TCP 0", "doh 443/TCP 0", "doq 853/UDP 0", "dot 853/TCP 0"})
}

// What is switched off is not there, nor is a right that it would have.
func TestOff(t *testing.T) {
	t.Parallel()
	want := []string{
		"ConfigMap minilb/minilb-corefile", "Deployment minilb/minilb-controller", "Deployment minilb/minilb-dns",
	}
	manifest := variant(t, "override")
	check(t, "objects", names(t, manifest), want)
	check(t, "account of somebody else", deployment(t, manifest, "dns").Spec.Template.Spec.ServiceAccountName, "somebody")
	check(t, "account of nobody", deployment(t, manifest, "controller").Spec.Template.Spec.ServiceAccountName, "default")

	for _, name := range names(t, rendered(t, "controller.enabled=false", "networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true")) {
		if strings.Contains(name, "controller") {
			t.Errorf("there is %s without the controller", name)
		}
	}
}

// Two releases have nothing in common, so that one's Service does not lead to the other's pods.
func TestNames(t *testing.T) {
	t.Parallel()
	check(t, "names of fullnameOverride", names(t, rendered(t, "fullnameOverride=lan")), []string{
		"ClusterRole lan-controller", "ClusterRole lan-dns", "ClusterRoleBinding lan-controller", "ClusterRoleBinding lan-dns",
		"ConfigMap minilb/lan-corefile", "DaemonSet minilb/lan-dns", "Deployment minilb/lan-controller",
		"Service minilb/lan-dns", "ServiceAccount minilb/lan-controller", "ServiceAccount minilb/lan-dns",
		"ValidatingAdmissionPolicy lan-controller", "ValidatingAdmissionPolicyBinding lan-controller",
	})
	workloads, err := shipped.OfKinds(variant(t, "deployment"), "Deployment", "DaemonSet", "PodDisruptionBudget")
	must(t, err)
	check(t, "workloads of a Deployment", names(t, workloads), []string{
		"Deployment minilb/minilb-controller", "Deployment minilb/minilb-dns", "PodDisruptionBudget minilb/minilb-dns",
	})
	selector := object[corev1.Service](t, rendered(t), "Service", "minilb-dns").Spec.Selector
	check(t, "selector", selector, map[string]string{"app.kubernetes.io/name": "minilb", "app.kubernetes.io/instance": "minilb", "app.kubernetes.io/component": "dns"})
}

// The policy lets in questions and who reads metrics, and bounds what goes out if it is told to.
func TestNetworkPolicy(t *testing.T) {
	t.Parallel()
	policy := object[networkingv1.NetworkPolicy](t, variant(t, "everything"), "NetworkPolicy", "minilb-dns").Spec
	check(t, "types", policy.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"})
	check(t, "who asks", policy.Ingress[0].From[0].IPBlock.CIDR, "192.168.0.0/16")
	check(t, "what is asked", len(policy.Ingress[0].Ports), 2)
	check(t, "who probes", len(policy.Ingress[1].From), 0)
	check(t, "who reads metrics", policy.Ingress[2].From[0].PodSelector != nil, true)
	check(t, "where it may connect to", policy.Egress[0].Ports[0].Port.IntValue(), 6443)
	policy = object[networkingv1.NetworkPolicy](t, variant(t, "everything"), "NetworkPolicy", "minilb-controller").Spec
	check(t, "who probes the controller", len(policy.Ingress[0].From), 0)
	policy = object[networkingv1.NetworkPolicy](t, variant(t, "monitoring"), "NetworkPolicy", "minilb-dns").Spec
	check(t, "types without egress", policy.PolicyTypes, []networkingv1.PolicyType{"Ingress"})
	check(t, "who asks, if nothing is said", len(policy.Ingress[0].From), 0)
}

// Of the ConfigMaps, one alone is labelled as the DNS server's: there the documentation looks for the
// Corefile.
func TestCorefileIsFound(t *testing.T) {
	t.Parallel()
	of, err := shipped.OfKinds(variant(t, "monitoring"), "ConfigMap")
	must(t, err)
	documents, err := shipped.Documents(of)
	must(t, err)
	var found []string
	for _, document := range documents {
		var configMap corev1.ConfigMap
		must(t, yaml.Unmarshal([]byte(document), &configMap))
		if configMap.Labels["app.kubernetes.io/component"] == "dns" {
			found = append(found, configMap.Name)
		}
	}
	check(t, "ConfigMaps of the DNS server, of all "+strings.Join(names(t, of), ", "), found, []string{"minilb-corefile"})
	check(t, "ConfigMaps", len(names(t, of)), 2)
}
