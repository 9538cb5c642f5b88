package podnetworks

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of Nodes that have their pod networks.
const (
	ovnAnnotation = "k8s.ovn.org/node-subnets" // {"default":["10.128.0.0/23"]}, or one network without brackets
	// kube-router takes the first of these that is there, with commas between networks.
	kubeRouterPodCIDRs = "kube-router.io/pod-cidrs"
	kubeRouterPodCIDR  = "kube-router.io/pod-cidr"
)

// Node is what a Node says of its own pod networks, by provider; without an entry it says nothing.
type Node map[Provider]Assignment

// FromNode returns what a Node says.
func FromNode(node *corev1.Node) Node {
	n, texts := Node{}, node.Spec.PodCIDRs
	if len(texts) == 0 && node.Spec.PodCIDR != "" {
		texts = []string{node.Spec.PodCIDR}
	}
	if len(texts) > 0 {
		n[PodCIDRs] = list(PodCIDRs, node.Name, texts)
	}
	if text, is := node.Annotations[ovnAnnotation]; is {
		n[OVN] = ovnSubnets(node.Name, text)
	}
	for _, key := range []string{kubeRouterPodCIDRs, kubeRouterPodCIDR} {
		if text := node.Annotations[key]; text != "" {
			n[KubeRouter] = list(KubeRouter, node.Name, strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }))
			break
		}
	}
	return n
}

// ovnSubnets reads the annotation of OVN-Kubernetes. Subnets of other networks than the default one are not routed.
func ovnSubnets(node, text string) Assignment {
	var networks map[string]json.RawMessage
	var subnets []string
	err := json.Unmarshal([]byte(text), &networks)
	if one := ""; err == nil && json.Unmarshal(networks["default"], &one) == nil {
		subnets = []string{one}
	} else if err == nil {
		err = json.Unmarshal(networks["default"], &subnets)
	}
	if err != nil {
		return Assignment{Malformed: []string{"the annotation " + ovnAnnotation + " is malformed"}}
	}
	return list(OVN, node, subnets)
}

// Of returns what the Node says of its networks if they are assigned by the provider.
func (n Node) Of(provider Provider) Assignment {
	if assignment, is := n[provider]; is || provider != KubeRouter {
		return assignment
	}
	return n[PodCIDRs] // which the annotation overrides where it is set
}
