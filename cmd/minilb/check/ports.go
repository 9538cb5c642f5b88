package check

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// ports finds the ports of an exposed Service that its pods do not listen on, as nothing translates them, or do not know (S5).
func (c *checker) ports(service *corev1.Service) {
	var served []discoveryv1.EndpointPort
	selected := false // there are pods
	for _, slice := range c.slices[cache.MetaObjectToName(service)] {
		if !lb.Ignored(slice.Labels) {
			served = append(served, slice.Ports...)
			selected = selected || len(service.Spec.Selector) > 0 && len(slice.Endpoints) > 0
		}
	}
	for _, mismatch := range lb.PortMismatches(service.Spec.Ports, served) {
		c.addService(service, Error, "TargetPortMismatch", mismatch.String(), portFix(service.Labels, mismatch))
	}
	if !selected {
		return
	}
	for _, text := range lb.UnknownTargetPorts(service.Spec.Ports, served) {
		c.addService(service, Error, "UnknownTargetPort", text, "let targetPort name a port of the pods' containers, or be its number")
	}
}

// proxies are the Ingress and Gateway controllers that are known to listen on other ports than clients use. The README's
// table has their settings, too.
var proxies = []struct {
	label, value string // of its Services; the value "" matches any
	fix          string // PORT is the Service's port
}{
	{"app.kubernetes.io/managed-by", "envoy-gateway", envoyGateway},
	{"gateway.envoyproxy.io/owning-gateway-name", "", envoyGateway},
	{"projectcontour.io/owning-gateway-name", "", contourGateway},
	{"app.kubernetes.io/managed-by", "contour-gateway-provisioner", contourGateway},
	{"app.kubernetes.io/name", "contour", "let Envoy listen on PORT by the flags --envoy-service-http-port=80 and --envoy-service-https-port=443 of \"contour serve\", and let targetPort be PORT"},
	{"app.kubernetes.io/name", "traefik", "in Traefik's chart set ports.web.port: 80 and ports.websecure.port: 443; a Gateway's listeners must have the same ports"},
	{"app.kubernetes.io/name", "ingress-nginx", "in the chart of ingress-nginx set controller.containerPort.http: 80 and controller.containerPort.https: 443"},
	{"gateway.networking.k8s.io/gateway-class-name", "kgateway", "kgateway's pods listen on the listener's port + 8000 below 1024: let the listener have a port from 1024 on"},
	{"app.kubernetes.io/name", "kubernetes-ingress", "in the chart of HAProxy set controller.containerPort.http: 80, controller.containerPort.https: 443 and controller.allowPrivilegedPorts: true"},
}

const (
	envoyGateway   = "in the EnvoyProxy of Envoy Gateway set provider.kubernetes.useListenerPortAsContainerPort: true"
	contourGateway = "Contour's pods for a Gateway never listen below 1024 but on the port + 8000: let the listener have a port from 1024 on"
)

// portFix returns what to do about a port, by who owns the Service.
func portFix(labels map[string]string, mismatch lb.PortMismatch) string {
	for _, p := range proxies {
		if value, has := labels[p.label]; has && (p.value == "" || p.value == value) {
			return strings.ReplaceAll(p.fix, "PORT", fmt.Sprint(mismatch.Port))
		}
	}
	if len(mismatch.Targets) > 1 {
		return fmt.Sprintf("let all pods listen on %d", mismatch.Port)
	}
	low := ""
	if mismatch.Port < 1024 {
		low = " (sysctl net.ipv4.ip_unprivileged_port_start=0 lets them)"
	}
	return fmt.Sprintf("let the pods listen on %d%s, or set port: %d in the Service", mismatch.Port, low, mismatch.Targets[0])
}

// byCilium reports whether Cilium's own proxies on the nodes stand behind a Service, and no pods (E17).
func (c *checker) byCilium(service *corev1.Service) bool {
	for _, slice := range c.slices[cache.MetaObjectToName(service)] {
		for _, endpoint := range slice.Endpoints {
			if len(endpoint.Addresses) > 0 && endpoint.Addresses[0] == lb.CiliumPlaceholder.String() {
				return true
			}
		}
	}
	_, gateway := service.Labels["io.cilium.gateway/owning-gateway"]
	return gateway || service.Labels["cilium.io/ingress"] == "true"
}
