package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// What is said of single Services by their class, status and wishes.
func TestServices(t *testing.T) {
	class := func(name string) *string { return &name }
	ours := func(change func(*corev1.Service)) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, class("minilb")
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "web.shop.home.example.org"}}
		if change != nil {
			change(s)
		}
		return s
	}
	written := func(manager, hostname string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: hostname}}
			early, late := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
			fields := &metav1.FieldsV1{}
			fields.SetRawBytes([]byte(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`))
			other := &metav1.FieldsV1{}
			other.SetRawBytes([]byte(`{"f:spec":{}}`))
			s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Time: &late, FieldsV1: fields}, {Manager: "before", Time: &early, FieldsV1: fields}, {Manager: "kubectl", Time: &late, FieldsV1: other}, {}}
		}
	}
	without := func(class *string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass, s.Status.LoadBalancer.Ingress = class, nil }
	}
	for _, tc := range []struct {
		name         string
		service      *corev1.Service
		defaultClass bool
		reasons      []string
		want         string
	}{
		{"sound", ours(nil), false, nil, ""},
		{"no status", ours(func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil }), false, []string{"NoHostname"}, "want web.shop.home.example.org"},
		{"another domain", ours(written("minilb", "web.shop.minilb")), false, []string{"StatusConflict"}, `"minilb controller" has written it for another domain; let all controllers of class minilb have -domain home.example.org`},
		{"another controller", ours(written("cloud", "x.example.org")), false, []string{"StatusConflict"}, "its status is x.example.org, want web.shop.home.example.org: cloud has written it"},
		{"nobody known", ours(func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].Hostname = "x" }), false, []string{"StatusConflict"}, "somebody unknown has written it"},
		{"deleted", ours(func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil; s.DeletionTimestamp = &metav1.Time{} }), false, nil, ""},
		{"ignored", ours(func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = nil
			s.Labels = map[string]string{"minilb/ignore": "true"}
		}), false, nil, ""},
		{"ClusterIP", ours(func(s *corev1.Service) { without(nil)(s); s.Spec.Type = corev1.ServiceTypeClusterIP }), false, nil, ""},
		{"no class", ours(without(nil)), false, []string{"NoClass"}, "make it anew with spec.loadBalancerClass: minilb"},
		{"no class, ours", ours(without(nil)), true, []string{"NoHostname"}, `with class none (-default-class) and domain home.example.org`},
		{"no class, a cloud's", ours(func(s *corev1.Service) { s.Spec.LoadBalancerClass = nil }), false, nil, ""},
		{"a typo", ours(without(class("MiniLB"))), false, []string{"WrongClass"}, `"MiniLB" looks like a typo of "minilb"`},
		{"another class", ours(without(class("example.org/x"))), false, []string{"WrongClass"}, `is "example.org/x", and not "minilb"`},
		{"another class, served", ours(func(s *corev1.Service) { s.Spec.LoadBalancerClass = class("mini-lb") }), false, nil, ""},
		{"wishes", ours(func(s *corev1.Service) {
			s.Spec.SessionAffinity, s.Spec.LoadBalancerIP = corev1.ServiceAffinityClientIP, "192.0.2.1"
			s.Spec.LoadBalancerSourceRanges, s.Spec.ExternalIPs = []string{"10.0.0.0/8"}, []string{"192.0.2.1"}
		}), false, []string{"UnsupportedSessionAffinity", "UnsupportedLoadBalancerSourceRanges", "UnsupportedLoadBalancerIP", "UnsupportedExternalIPs"}, "NetworkPolicy"},
		{"Cilium's Gateway", ours(func(s *corev1.Service) { s.Labels = map[string]string{"io.cilium.gateway/owning-gateway": "gw"} }), false, []string{"CiliumService"}, "there are no pods"},
	} {
		c := checker{
			options: []config.Options{{Class: "minilb", DefaultClass: tc.defaultClass, Zones: []string{"home.example.org.", "minilb."}}},
		}
		var reasons []string
		text := ""
		c.checkService(tc.service)
		for _, f := range c.problems {
			reasons = append(reasons, f.Reason)
			text += f.Text + "; " + f.Fix
		}
		if !slices.Equal(reasons, tc.reasons) || !strings.Contains(text, tc.want) {
			t.Errorf("%s: got %q, %q, want %q, %q", tc.name, reasons, text, tc.reasons, tc.want)
		}
	}
}

// R15: what stands in a command that people copy is a name, whatever the cluster has.
func TestArgument(t *testing.T) {
	for host, want := range map[string]string{
		"a.ex.org": "a.ex.org", "*.ex.org": "*.ex.org", "": "HOST", "$(reboot).org": "HOST", "a;reboot": "HOST", "a\nreboot": "HOST", "-rf": "HOST", "*.*": "HOST",
	} {
		if got := argument(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

// L4: session affinity has an effect where the DNS servers have the property, and only there.
func TestSessionAffinity(t *testing.T) {
	manifest := strings.Replace(sound, "selector: {app: web}", "sessionAffinity: ClientIP, selector: {app: web}", 1)
	for property, want := range map[string][]string{
		"affinity": nil, "": {"notice Service shop/web UnsupportedSessionAffinity: spec.sessionAffinity has no effect: clients connect to the pods themselves; set the property affinity"},
	} {
		expect(t, mustRun(t, ofCluster(t, ". {\n minilb minilb {\n  "+property+"\n }\n}", manifest)).Problems, want)
	}
}
