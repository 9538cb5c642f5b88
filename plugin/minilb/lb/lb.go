// Package lb is the contract of the CoreDNS plugin and the companion: which Services are ours, their names,
// and the labels and annotations that we read.
package lb

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

const (
	// DefaultClass is the spec.loadBalancerClass that is ours unless configured otherwise (S6).
	DefaultClass = "minilb"
	// DefaultDomain is the zone under which Services are named unless configured otherwise.
	DefaultDomain = "minilb"
	// DefaultNamespace is where the manifests put our DNS servers and the controller.
	DefaultNamespace = "minilb"
	// HostAnnotation on a Service claims further host names for it, separated by commas (I10, M9).
	HostAnnotation = "minilb/host"
	// ServiceAnnotation on any other object names the Service, "[namespace/]name", that its hosts lead to, in
	// place of the object's status (M7).
	ServiceAnnotation = "minilb/service"
	// ALPNAnnotation on a Service names the protocols of its TCP port 443, such as "h2,http/1.1", separated by
	// commas (D51).
	ALPNAnnotation = "minilb/alpn"
	// TTLAnnotation on an object that claims hosts is the TTL of their records, and on a Service also of its own name's, in
	// seconds (L2).
	TTLAnnotation = "minilb/ttl"
	// WeightAnnotation and PriorityAnnotation on a Service say how often a host that leads to several Services is answered
	// with this one (L3).
	WeightAnnotation   = "minilb/weight"
	PriorityAnnotation = "minilb/priority"
	// NodePortAnnotation on the Service of our DNS servers names the port that their pods have of their nodes, such as
	// "53" (R23).
	NodePortAnnotation = "minilb/node-port"
	// ExposeLabel with the value "true" has a Service of any type but ExternalName answered like ours, without a status (L1).
	ExposeLabel = "minilb/expose"
	// IgnoreLabel with the value "true" has an object of any kind ignored (M8).
	IgnoreLabel = "minilb/ignore"
	// DrainLabel on a pod asks for a preStop that sleeps, by the policy that deploy/ has for it (L9). We do not read it.
	DrainLabel = "minilb/drain"
)

// kGatewayIgnoreLabel is that of k8s_gateway, which counts as well.
const kGatewayIgnoreLabel = "k8s-gateway.dns/ignore"

// IgnoreLabels names both in texts.
const IgnoreLabels = IgnoreLabel + " or " + kGatewayIgnoreLabel

// OfOurServices are the annotations that count on a Service only if it is ours.
var OfOurServices = []string{HostAnnotation, ALPNAnnotation, TTLAnnotation, WeightAnnotation, PriorityAnnotation}

// The largest values of annotations that are numbers; the least is 0.
const (
	MaxTTL   = 3600 // seconds, also of the Corefile's property
	MaxShare = 255  // of a weight or priority
)

// ForwardLoopError is the code of the extended DNS error of a name in a forward loop (D4b), for private use
// (RFC 8914 §5.2).
const ForwardLoopError = 49152

// CiliumPlaceholder is the address of the endpoint that Cilium writes for Services that Envoy serves (E17).
var CiliumPlaceholder = netip.AddrFrom4([4]byte{192, 192, 192, 192})

// maxDomainLength is in characters without the final dot: "<service>.<namespace>.<domain>" must fit into a DNS name (D33).
const maxDomainLength = 125

// IsOurs reports whether a Service has the type LoadBalancer and our class, or, with defaultClass, none (S6).
func IsOurs(spec *corev1.ServiceSpec, class string, defaultClass bool) bool {
	ours := defaultClass
	if spec.LoadBalancerClass != nil {
		ours = *spec.LoadBalancerClass == class
	}
	return ours && spec.Type == corev1.ServiceTypeLoadBalancer
}

// IsExposed reports whether a Service has the ExposeLabel, and a type that has endpoints (L1).
func IsExposed(service *corev1.Service) bool {
	return service.Labels[ExposeLabel] == "true" && service.Spec.Type != corev1.ServiceTypeExternalName
}

// Ignored reports whether an object has the IgnoreLabel, or that of k8s_gateway (M8).
func Ignored(labels map[string]string) bool { return IgnoredBy(labels) != "" }

// IgnoredBy returns the label for which an object is ignored, "" if it is not.
func IgnoredBy(labels map[string]string) string {
	for _, label := range []string{IgnoreLabel, kGatewayIgnoreLabel} {
		if labels[label] == "true" {
			return label
		}
	}
	return ""
}

// Hostname returns the name of a Service under domain, in lower case and without a final dot (S1).
func Hostname(service metav1.Object, domain string) string {
	return service.GetName() + "." + service.GetNamespace() + "." + domain
}

// Domain returns s in lower case and without a final dot, or an error if Services cannot be named below it
// (S1, D33).
func Domain(s string) (string, error) {
	domain, err := Name(s)
	if len(domain) > maxDomainLength {
		return "", fmt.Errorf("%q has %d characters: at most %d leave room for the Services' names", s, len(domain), maxDomainLength)
	}
	return domain, err
}

// Name returns a DNS name in lower case and without a final dot, or an error if it is none.
func Name(s string) (string, error) {
	host, err := hostname.Parse(s)
	switch {
	case s == "" || s == ".":
		return "", errors.New("the name is empty")
	case err != nil:
		return "", fmt.Errorf("%q: %w", s, err)
	case strings.HasPrefix(host, "*."):
		return "", fmt.Errorf("%q: it is not a DNS name but a wildcard", s)
	}
	return hostname.Plain(host), nil
}
