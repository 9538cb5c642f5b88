package translator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
)

func pointer[T any](v T) *T { return &v }

// The ports of a Service, as many as are kept, count for whether it is merged at once.
func TestManyPortsOfService(t *testing.T) {
	var ports []corev1.ServicePort
	for i := range 20_000 {
		ports = append(ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: int32(i + 1)})
	}
	var endpoints []string
	for i := range atOnce - 1024 + 2 {
		endpoints = append(endpoints, fmt.Sprintf("10.0.%d.%d RSt", i/250, i%250))
	}
	for _, tc := range []struct {
		ports int
		due   int
	}{{0, 0}, {20_000, 1}} {
		b := newBench(t, config.Options{})
		b.services().Update(httpsService(nil, ports[:tc.ports]...))
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", endpoints...))
		if got := len(b.tr.services.state.due); got != tc.due {
			t.Errorf("with %d ports: %d Services are merged aside, want %d", tc.ports, got, tc.due)
		}
	}
}
