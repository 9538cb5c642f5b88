// Package policy writes the NetworkPolicies that do for pods what spec.loadBalancerSourceRanges of their Services does at a load
// balancer (L8). Clients connect to the pods themselves, so that nobody but the network plugin can keep them out.
package policy

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Result is what is made of a Service with loadBalancerSourceRanges.
type Result struct {
	Namespace, Name string
	Policy          *networkingv1.NetworkPolicy // nil if there is none
	Notes           []string                    // what to know of it, or why there is none; a sentence each without its full stop
}

// Read returns the Results of the Services that are exposed and have loadBalancerSourceRanges, by namespace and name. Networks
// are those that may connect as well. Its error is a *kube.Error.
func Read(ctx context.Context, client kubernetes.Interface, exposed func(*corev1.Service) bool, networks []netip.Prefix) ([]Result, error) {
	services, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Classify("list", "services", err)
	}
	var all []Result
	for i := range services.Items {
		service := &services.Items[i]
		if len(service.Spec.LoadBalancerSourceRanges) == 0 || lb.Ignored(service.Labels) || !exposed(service) {
			continue
		}
		slices, err := client.DiscoveryV1().EndpointSlices(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
		if err != nil {
			return nil, kube.Classify("list", "endpointslices", err)
		}
		all = append(all, For(service, slices.Items, networks))
	}
	slices.SortFunc(all, func(a, b Result) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// For returns the Result of a Service by its EndpointSlices, which tell the numbers of named target ports.
func For(service *corev1.Service, slicesOf []discoveryv1.EndpointSlice, networks []netip.Prefix) Result {
	r := Result{Namespace: service.Namespace, Name: service.Name}
	none := func(format string, args ...any) Result {
		r.Notes = append(r.Notes, "there is no policy: "+fmt.Sprintf(format, args...))
		return r
	}
	if len(service.Spec.Selector) == 0 {
		return none("the Service has no selector, so that its pods are not known")
	}
	allowed, malformed := ranges(service.Spec.LoadBalancerSourceRanges)
	for _, text := range malformed {
		r.Notes = append(r.Notes, fmt.Sprintf("loadBalancerSourceRanges has %q, which is no network and is left out", printable.Shorten(text)))
	}
	if slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		return none("its loadBalancerSourceRanges admit everybody of a family")
	}
	var served []discoveryv1.EndpointPort
	for _, slice := range slicesOf {
		served = append(served, slice.Ports...)
	}
	ports := map[corev1.Protocol][]int32{corev1.ProtocolTCP: nil, corev1.ProtocolUDP: nil, corev1.ProtocolSCTP: nil}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		targets := lb.TargetPorts(port, served)
		if targets == nil {
			return none("targetPort %q is a name, and no endpoint tells its number; run this again once a pod runs", port.TargetPort.String())
		}
		protocol := cmp.Or(port.Protocol, corev1.ProtocolTCP)
		ports[protocol] = append(ports[protocol], targets...)
	}
	r.Policy = &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name + "-source-ranges", Labels: map[string]string{"app.kubernetes.io/managed-by": "minilb"}},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: service.Spec.Selector},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{From: peers(slices.Concat(allowed, networks)), Ports: exactly(ports)},
				{Ports: others(ports)},
			},
		},
	}
	return r
}

// ranges returns the networks that texts are, and the texts that are none.
func ranges(texts []string) (networks []netip.Prefix, malformed []string) {
	for _, text := range texts {
		if network, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			networks = append(networks, network.Masked())
		} else {
			malformed = append(malformed, text)
		}
	}
	return networks, malformed
}

// peers are the networks, and all pods: a load balancer does not stand between these.
func peers(networks []netip.Prefix) []networkingv1.NetworkPolicyPeer {
	all := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	for _, network := range networks {
		all = append(all, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: network.String()}})
	}
	return all
}

// protocols of ports, in order.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

func exactly(ports map[corev1.Protocol][]int32) (all []networkingv1.NetworkPolicyPort) {
	for _, protocol := range protocols {
		for _, number := range sorted(ports[protocol]) {
			all = append(all, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(number))})
		}
	}
	return all
}

// others are all ports but these: the Service says nothing of them, and a pod that a policy selects is closed otherwise.
func others(ports map[corev1.Protocol][]int32) (all []networkingv1.NetworkPolicyPort) {
	for _, protocol := range protocols {
		first := int32(1)
		for _, number := range append(sorted(ports[protocol]), 1<<16) {
			if last := number - 1; first <= last {
				all = append(all, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(first)), EndPort: &last})
			}
			first = number + 1
		}
	}
	return all
}

func sorted(numbers []int32) []int32 {
	distinct := map[int32]bool{}
	for _, number := range numbers {
		distinct[number] = true
	}
	return slices.Sorted(maps.Keys(distinct))
}

// Write prints the policies as documents of YAML, each with its notes.
func Write(out io.Writer, all []Result) error {
	for i, r := range all {
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		fmt.Fprintf(out, "# Service %s/%s\n", r.Namespace, r.Name)
		for _, note := range r.Notes {
			fmt.Fprintf(out, "# %s\n", note)
		}
		if r.Policy == nil {
			continue
		}
		text, err := yaml.Marshal(r.Policy)
		if err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}
