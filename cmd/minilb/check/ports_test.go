package check

import (
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// S5: what to change depends on who made the Service.
func TestPortFix(t *testing.T) {
	type labels = map[string]string
	low, high := lb.PortMismatch{Port: 80, Targets: []int32{8080}}, lb.PortMismatch{Port: 8000, Targets: []int32{9000}}
	for _, tc := range []struct {
		name     string
		labels   labels
		mismatch lb.PortMismatch
		want     string
	}{
		{"nobody", nil, low, "let the pods listen on 80 (sysctl net.ipv4.ip_unprivileged_port_start=0 lets them), or set port: 8080 in the Service"},
		{"nobody, high", labels{"app.kubernetes.io/name": "mine"}, high, "let the pods listen on 8000, or set port: 9000 in the Service"},
		{"nobody, several", nil, lb.PortMismatch{Port: 80, Targets: []int32{80, 81}}, "let all pods listen on 80"},
		{"Envoy Gateway", labels{"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/name": "envoy"}, low, "useListenerPortAsContainerPort: true"},
		{"Envoy Gateway's owner", labels{"gateway.envoyproxy.io/owning-gateway-name": "gw"}, low, "useListenerPortAsContainerPort: true"},
		{"Contour", labels{"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"}, low, "and let targetPort be 80"},
		{"Contour's Gateway", labels{"app.kubernetes.io/name": "contour", "projectcontour.io/owning-gateway-name": "gw"}, low, "let the listener have a port from 1024 on"},
		{"Traefik", labels{"app.kubernetes.io/name": "traefik"}, low, "ports.websecure.port: 443"},
		{"ingress-nginx", labels{"app.kubernetes.io/name": "ingress-nginx"}, low, "controller.containerPort.http: 80"},
	} {
		if got := portFix(tc.labels, tc.mismatch); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
