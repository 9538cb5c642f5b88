package chart_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/minilb/minilb/test/shipped"
)

// may returns what rules let one list and watch, sorted, and complains of any other verb.
func may(t *testing.T, rules []rbacv1.PolicyRule) string {
	t.Helper()
	var all []string
	for _, rule := range rules {
		if !slices.Equal(rule.Verbs, []string{"list", "watch"}) || len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("rule %+v is not to list and watch", rule)
		}
		all = append(all, rule.Resources...)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The DNS server's rights are for the kinds that are enabled, in the namespaces that are; what
// is in no namespace is read for the Gateway API alone.
func TestRights(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		resources, namespaces string
		everywhere, inEach    string // of the ClusterRole, and of the Roles
		excluding             bool   // nodes (L6)
	}{
		{"", "",
			"endpointslices gatewayclasses gateways grpcroutes httproutes ingresses listenersets namespaces services tlsroutes xlistenersets", "", false},
		{"service", "", "endpointslices services", "", false},
		{"service,ingress", "", "endpointslices ingresses services", "", false},
		{"gateway", "", "endpointslices gatewayclasses gateways grpcroutes httproutes listenersets namespaces services tlsroutes xlistenersets", "", false},
		{"", "shop,web", "gatewayclasses namespaces", "endpointslices gateways grpcroutes httproutes ingresses listenersets services tlsroutes xlistenersets", false},
		{"service", "shop", "", "endpointslices services", false},
		{"service", "shop", "nodes", "endpointslices services", true},
		{"service", "", "endpointslices nodes services", "", true},
		{"", "shop,web", "gatewayclasses namespaces nodes", "endpointslices gateways grpcroutes httproutes ingresses listenersets services tlsroutes xlistenersets", true},
		{"ingress", "shop,web", "", "endpointslices ingresses services", false},
		{"gateway", "web", "gatewayclasses namespaces", "endpointslices gateways grpcroutes httproutes listenersets services tlsroutes xlistenersets", false},
	} {
		t.Run(fmt.Sprintf("%s in %s, %v", test.resources, test.namespaces, test.excluding), func(t *testing.T) {
			set := []string{"controller.enabled=false"}
			if test.excluding {
				set = append(set, "plugin.excludeNodes=vps")
			}
			if test.resources != "" {
				set = append(set, "plugin.resources={"+test.resources+"}")
			}
			if test.namespaces != "" {
				set = append(set, "plugin.namespaces={"+test.namespaces+"}")
			}
			manifest := rendered(t, set...)
			var want []string
			if test.everywhere != "" {
				want = append(want, "ClusterRole minilb-dns", "ClusterRoleBinding minilb-dns")
				role := object[rbacv1.ClusterRole](t, manifest, "ClusterRole", "minilb-dns")
				check(t, "everywhere", may(t, role.Rules), test.everywhere)
				binding := object[rbacv1.ClusterRoleBinding](t, manifest, "ClusterRoleBinding", "minilb-dns")
				check(t, "bound to", binding.Subjects, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "minilb-dns", Namespace: "minilb"}})
			}
			if test.namespaces != "" {
				for _, namespace := range strings.Split(test.namespaces, ",") {
					want = append(want, "Role "+namespace+"/minilb-dns", "RoleBinding "+namespace+"/minilb-dns")
					one := within(t, manifest, namespace)
					check(t, "in "+namespace, may(t, object[rbacv1.Role](t, one, "Role", "").Rules), test.inEach)
					binding := object[rbacv1.RoleBinding](t, one, "RoleBinding", "")
					check(t, "bound to", binding.Subjects, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "minilb-dns", Namespace: "minilb"}})
					check(t, "bound", binding.RoleRef, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "minilb-dns"})
				}
			}
			got := slices.DeleteFunc(names(t, manifest), func(name string) bool { return !strings.Contains(name, "Role") })
			slices.Sort(want)
			check(t, "roles", got, want)
		})
	}
}

// R20: the controller may list what Cilium or Calico says of pod networks where that is chosen, and nothing of it otherwise. The
// components of deploy/kustomize let it do the same, and what sets routes watch as well.
func TestRightsOfProviders(t *testing.T) {
	t.Parallel()
	rights := func(rules []rbacv1.PolicyRule) (all []string) {
		for _, rule := range rules {
			for _, group := range rule.APIGroups {
				if group == "cilium.io" || strings.HasSuffix(group, "projectcalico.org") {
					for _, resource := range rule.Resources {
						all = append(all, fmt.Sprint(rule.Verbs, resource, ".", group))
					}
				}
			}
		}
		slices.Sort(all)
		return all
	}
	for provider, want := range map[string][]string{
		"auto": nil, "podcidrs": nil, "ovn": nil, "kube-router": nil, "cilium": {"[list]ciliumnodes.cilium.io"},
		"calico": {"[list]blockaffinities.crd.projectcalico.org", "[list]blockaffinities.projectcalico.org", "[list]ipamblocks.crd.projectcalico.org", "[list]ipamblocks.projectcalico.org"},
	} {
		manifest := rendered(t, "controller.pods="+provider)
		check(t, provider, rights(object[rbacv1.ClusterRole](t, manifest, "ClusterRole", "minilb-controller").Rules), want)
		args := deployment(t, manifest, "controller").Spec.Template.Spec.Containers[0].Args
		i := slices.Index(args, "-pods")
		check(t, provider+": flag", i >= 0 && args[i+1] == provider, provider != "auto")
		if len(want) > 0 {
			component, err := shipped.Component(provider)
			must(t, err)
			role := func(name string) []string {
				return rights(object[rbacv1.ClusterRole](t, component, "ClusterRole", name).Rules)
			}
			check(t, provider+": component", role("minilb-"+provider+"-controller"), want)
			for i := range want {
				want[i] = strings.Replace(want[i], "[list]", "[list watch]", 1)
			}
			check(t, provider+": component for routes", role("minilb-"+provider), want)
		}
	}
}
