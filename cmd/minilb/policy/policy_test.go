package policy

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
)

func service(ranges string, ports ...corev1.ServicePort) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	s.Spec.Type, s.Spec.Selector, s.Spec.Ports = corev1.ServiceTypeLoadBalancer, map[string]string{"app": "web"}, ports
	s.Spec.LoadBalancerSourceRanges = strings.Fields(ranges)
	return s
}

func port(number int32, protocol corev1.Protocol, target intstr.IntOrString) corev1.ServicePort {
	return corev1.ServicePort{Port: number, Protocol: protocol, TargetPort: target}
}

func written(t *testing.T, all ...Result) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, all); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// L8: the ranges and all pods are admitted to the target ports, and everybody to all others.
func TestFor(t *testing.T) {
	web := service("192.168.1.0/24 fd00:1::5/64",
		port(80, corev1.ProtocolTCP, intstr.FromInt32(8080)), port(443, corev1.ProtocolTCP, intstr.FromString("https")), port(53, corev1.ProtocolUDP, intstr.IntOrString{}))
	web.Spec.Ports[0].Name, web.Spec.Ports[1].Name, web.Spec.Ports[2].Name = "http", "https", "dns"
	slices := []discoveryv1.EndpointSlice{{Ports: []discoveryv1.EndpointPort{
		{Name: new("http"), Port: new(int32(8080))}, {Name: new("https"), Port: new(int32(8443))}, {Name: new("dns"), Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)},
	}}}
	const want = `# Service shop/web
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  labels:
    app.kubernetes.io/managed-by: minilb
  name: web-source-ranges
  namespace: shop
spec:
  ingress:
  - from:
    - namespaceSelector: {}
    - ipBlock:
        cidr: 192.168.1.0/24
    - ipBlock:
        cidr: fd00:1::/64
    - ipBlock:
        cidr: 192.168.9.53/32
    ports:
    - port: 8080
      protocol: TCP
    - port: 8443
      protocol: TCP
    - port: 53
      protocol: UDP
  - ports:
    - endPort: 8079
      port: 1
      protocol: TCP
    - endPort: 8442
      port: 8081
      protocol: TCP
    - endPort: 65535
      port: 8444
      protocol: TCP
    - endPort: 52
      port: 1
      protocol: UDP
    - endPort: 65535
      port: 54
      protocol: UDP
    - endPort: 65535
      port: 1
      protocol: SCTP
  podSelector:
    matchLabels:
      app: web
  policyTypes:
  - Ingress
`
	if got := written(t, For(web, slices, []netip.Prefix{netip.MustParsePrefix("192.168.9.53/32")})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A Service that no policy can be made for is told of, with the reason.
func TestForNone(t *testing.T) {
	http := port(80, corev1.ProtocolTCP, intstr.FromInt32(8080))
	for _, tc := range []struct {
		name    string
		service *corev1.Service
		want    string
	}{
		{"a name", service("10.0.0.0/8", port(80, "", intstr.FromString("http"))), `there is no policy: targetPort "http" is a name, and no endpoint tells its number; run this again once a pod runs`},
		{"everybody", service("10.0.0.0/8 0.0.0.0/0", http), "there is no policy: its loadBalancerSourceRanges admit everybody of a family"},
		{"no selector", service("10.0.0.0/8", http), "there is no policy: the Service has no selector, so that its pods are not known"},
	} {
		if tc.name == "no selector" {
			tc.service.Spec.Selector = nil
		}
		if got, want := written(t, For(tc.service, nil, nil)), "# Service shop/web\n# "+tc.want+"\n"; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, want)
		}
	}
	r := For(service("10.0.0.0/8 x", http), nil, nil)
	if got := written(t, r); !strings.HasPrefix(got, "# Service shop/web\n# loadBalancerSourceRanges has \"x\", which is no network and is left out\napiVersion:") {
		t.Errorf("malformed: got\n%s", got)
	}
	all := others(map[corev1.Protocol][]int32{corev1.ProtocolTCP: {1, 2, 65535}})
	if len(all) != 3 || all[0].Port.IntVal != 3 || *all[0].EndPort != 65534 {
		t.Errorf("the ports at the ends: got %v", all)
	}
}

// Only those that are ours and have ranges count.
func TestRead(t *testing.T) {
	web, other, ignored, plain := service("10.0.0.0/8", port(80, "", intstr.FromInt32(80))), service("10.0.0.0/8"), service("10.0.0.0/8"), service("")
	other.Name, ignored.Name, plain.Name = "other", "ignored", "plain"
	ignored.Labels = map[string]string{"minilb/ignore": "true"}
	var objects []runtime.Object
	for _, s := range []*corev1.Service{web, other, ignored, plain} {
		objects = append(objects, s)
	}
	all, err := Read(t.Context(), fake.NewClientset(objects...), func(s *corev1.Service) bool { return s.Name != "other" }, nil)
	if err != nil || len(all) != 1 || all[0].Name != "web" || all[0].Policy == nil {
		t.Errorf("got %+v, %v", all, err)
	}
}
