package lb

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S6
func TestExposed(t *testing.T) {
	ptr := func(s string) *string { return &s }
	tests := []struct {
		name         string
		spec         corev1.ServiceSpec
		defaultClass bool
		want         bool
	}{
		{"our class", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr("minilb")}, false, true},
		{"another class", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr("metallb")}, false, false},
		{"another class is not the default", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr("metallb")}, true, false},
		{"empty class is a class", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr("")}, true, false},
		{"no class", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, false, false},
		{"no class, opted in", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, true, true},
		{"our class on another type", corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, LoadBalancerClass: ptr("minilb")}, true, false},
		{"nothing", corev1.ServiceSpec{}, true, false},
	}
	for _, tc := range tests {
		if got := IsOurs(&tc.spec, DefaultClass, tc.defaultClass); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// M8
func TestIgnored(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false, "": false, "True": false} {
		for _, label := range []string{IgnoreLabel, "k8s-gateway.dns/ignore"} {
			if got := Ignored(map[string]string{label: value}); got != want {
				t.Errorf("%s=%q: got %v, want %v", label, value, got, want)
			}
		}
	}
	if Ignored(nil) {
		t.Error("an object without labels is ignored")
	}
}

// S1
func TestHostname(t *testing.T) {
	domain, err := Domain("MiniLB.")
	if err != nil {
		t.Fatal(err)
	}
	service := &metav1.ObjectMeta{Name: "web", Namespace: "shop"}
	if got, want := Hostname(service, domain), "web.shop.minilb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// S1, D33
func TestDomain(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, valid := range []string{"minilb", "minilb.", "Home.Example.ORG", "x1", label, label + "." + strings.Repeat("b", 61)} {
		if _, err := Domain(valid); err != nil {
			t.Errorf("%q: %v", valid, err)
		}
	}
	for bad, want := range map[string]string{
		"":                                "is empty",
		".":                               "is empty",
		"a b":                             "not a DNS name",
		"a..b":                            "not a DNS name",
		"-a":                              "not a DNS name",
		"*.minilb":                        "not a DNS name",
		"bücher":                          `write "xn--bcher-kva"`,
		"10.0.0.1":                        "is an IP address",
		"::1":                             "is an IP address",
		"lan.1":                           "is a number",
		label + "a":                       "has 64 characters",
		label + "." + label + "." + label: "at most 125",
	} {
		_, err := Domain(bad)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one that says %q", bad, err, want)
		}
	}
}
