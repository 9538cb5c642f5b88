package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

func testIngress(name string, hosts ...string) *networkingv1.Ingress {
	namespace, name, _ := strings.Cut(name, "/")
	obj := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, host := range hosts {
		obj.Spec.Rules = append(obj.Spec.Rules, networkingv1.IngressRule{Host: host})
	}
	return obj
}

func TestIngressHosts(t *testing.T) {
	obj := testIngress("shop/web", "A.ex.org", "", "*.w.ex.org", "A.ex.org", strings.Repeat("a", 64)+".ex.org", "1.2.3.4")
	obj.Spec.DefaultBackend = &networkingv1.IngressBackend{}                                    // I3
	obj.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"tls.ex.org", "www.tls.ex.org"}}} // I2
	obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
	c := claim.FromIngress(&config.Options{}, object.NewIngress(obj, nil))
	if want := []string{"a.ex.org.", "*.w.ex.org."}; !slices.Equal(c.Hosts, want) { // I1, I5
		t.Errorf("got hosts %q, want %q", c.Hosts, want)
	}
	if len(c.Problems) != 2 {
		t.Errorf("got problems %v, want one for the long label and one for the address", c.Problems)
	}
	if c := claim.FromIngress(&config.Options{}, object.NewIngress(testIngress("shop/web", ""), nil)); c != nil {
		t.Errorf("an Ingress without a host claims %v", c.Hosts)
	}
	if c := claim.FromIngress(&config.Options{}, object.NewIngress(&networkingv1.Ingress{}, nil)); c != nil {
		t.Errorf("an empty Ingress claims %v", c.Hosts)
	}
}

// I7, I8, M2
func TestIngressTargets(t *testing.T) {
	tests := []struct {
		name    string
		status  []networkingv1.IngressLoadBalancerIngress
		targets []string
		missing bool
		invalid int
	}{
		{"none", nil, nil, true, 0},
		{"empty entry", []networkingv1.IngressLoadBalancerIngress{{}}, nil, true, 0},
		{"all entries, both fields", []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1", Hostname: "GW.infra.minilb"}, {IP: "fd00::1"}}, []string{"10.0.0.1", "gw.infra.minilb.", "fd00::1"}, false, 0},
		{"leading zeros", []networkingv1.IngressLoadBalancerIngress{{IP: "010.000.000.001"}}, []string{"10.0.0.1"}, false, 0},
		{"mapped", []networkingv1.IngressLoadBalancerIngress{{IP: "::ffff:10.0.0.1"}}, []string{"10.0.0.1"}, false, 0},
		{"garbage beside a good one", []networkingv1.IngressLoadBalancerIngress{{IP: "ten.zero"}, {IP: "10.0.0.1"}}, []string{"10.0.0.1"}, true, 1},
		{"garbage", []networkingv1.IngressLoadBalancerIngress{{IP: "ten.zero"}, {Hostname: "a b"}, {Hostname: "*.ex.org"}, {IP: "127.0.0.1"}, {Hostname: "10.0.0.1"}}, nil, true, 5},
	}
	for _, tc := range tests {
		obj := testIngress("shop/web", "a.ex.org")
		obj.Status.LoadBalancer.Ingress = tc.status
		c := claim.FromIngress(&config.Options{}, object.NewIngress(obj, nil))
		var got []string
		for _, target := range c.List {
			if target.Host != "" {
				got = append(got, target.Host)
			} else {
				got = append(got, target.Addr.String())
			}
		}
		if !slices.Equal(got, tc.targets) || (c.Missing != "") != tc.missing || len(c.Problems) != tc.invalid {
			t.Errorf("%s: got targets %q, missing %q, problems %v", tc.name, got, c.Missing, c.Problems)
		}
	}
}

// M7
func TestIngressServiceAnnotation(t *testing.T) {
	tests := map[string]string{"web": "shop/web", "infra/gw": "infra/gw", " infra/gw ": "infra/gw", "": "", "/": "", "a/": "", "/b": "", "a/b/c": ""}
	for value, want := range tests {
		obj := testIngress("shop/i", "a.ex.org")
		obj.Annotations = map[string]string{lb.ServiceAnnotation: value}
		obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
		c := claim.FromIngress(&config.Options{}, object.NewIngress(obj, nil))
		switch {
		case want == "" && (len(c.List) != 0 || !strings.Contains(c.Missing, "want [namespace/]name")):
			t.Errorf("%q: got targets %v, missing %q", value, c.List, c.Missing)
		case want != "" && (len(c.List) != 1 || c.List[0].Service.String() != want):
			t.Errorf("%q: got targets %v, want Service %s alone", value, c.List, want)
		}
	}
}

// I6, M8
func TestIngressFilter(t *testing.T) {
	class := "nginx"
	tests := []struct {
		name    string
		field   *string
		legacy  string
		ignored bool
		classes []string
		want    bool
	}{
		{"no filter", nil, "", false, nil, true},
		{"class-less with a filter", nil, "", false, []string{"nginx"}, false},
		{"field", &class, "", false, []string{"traefik", "nginx"}, true},
		{"annotation where the field is empty", nil, "nginx", false, []string{"nginx"}, true},
		{"the annotation beside the field", &class, "traefik", false, []string{"traefik"}, true},
		{"the field beside the annotation", &class, "traefik", false, []string{"nginx"}, true},
		{"neither of them", &class, "traefik", false, []string{"haproxy"}, false},
		{"ignored", &class, "", true, nil, false},
	}
	for _, tc := range tests {
		obj := testIngress("shop/web", "a.ex.org")
		obj.Spec.IngressClassName = tc.field
		if tc.legacy != "" {
			obj.Annotations = map[string]string{"kubernetes.io/ingress.class": tc.legacy}
		}
		if tc.ignored {
			obj.Labels = map[string]string{lb.IgnoreLabel: "true"}
		}
		if got := claim.FromIngress(&config.Options{IngressClasses: tc.classes}, object.NewIngress(obj, nil)) != nil; got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// An object with more addresses than anybody needs has the first of them.
func TestIngressManyTargets(t *testing.T) {
	obj := testIngress("evil/i", "a.ex.org")
	for i := range 2 * object.MaxTargets {
		obj.Status.LoadBalancer.Ingress = append(obj.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{Hostname: fmt.Sprintf("h%d.example", i)})
	}
	c := claim.FromIngress(&config.Options{}, object.NewIngress(obj, nil))
	if len(c.List) != object.MaxTargets || c.List[0].Host != "h0.example." {
		t.Errorf("got %d targets, want the first %d", len(c.List), object.MaxTargets)
	}
}
