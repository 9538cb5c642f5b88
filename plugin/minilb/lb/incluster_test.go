package lb

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// G42: what is reached in the cluster alone is told by the Services, whatever the cluster's domain.
func TestInCluster(t *testing.T) {
	service := func(name string, ips ...string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: name}, Spec: corev1.ServiceSpec{ClusterIPs: ips}}
	}
	c := NewInCluster([]*corev1.Service{service("gw", "10.96.72.32", "fd00:96::20"), service("headless", corev1.ClusterIPNone), service("outside")})
	for address, want := range map[string]string{
		"10.96.72.32":                      "the ClusterIP of Service infra/gw",
		"fd00:96:0::20":                    "the ClusterIP of Service infra/gw",
		"10.96.72.33":                      "",
		"None":                             "",
		"gw.infra.svc.corp.internal":       "the cluster's own name of Service infra/gw",
		"GW.infra.svc":                     "the cluster's own name of Service infra/gw",
		"headless.infra.svc.cluster.local": "the cluster's own name of Service infra/headless",
		"gw.shop.svc.corp.internal":        "",
		"gw.infra.svcs.corp.internal":      "",
		"gw.infra.minilb":                  "",
		"":                                 "",
	} {
		if got := c.Describe(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
