package corefile

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// A tenant may label a Deployment and write a ConfigMap, and grant what is in the own namespace: that makes no DNS server.
func TestFindTrusted(t *testing.T) {
	t.Parallel()
	server := func(namespace, account, properties string) []runtime.Object {
		pod := podOf("corefile")
		pod.Spec.ServiceAccountName = account
		corefile := configMap(namespace, "corefile", "Corefile", namespace)
		corefile.Data["Corefile"] = ". {\n minilb " + namespace + " {\n" + properties + "\n}\n}\n"
		return []runtime.Object{deployment(namespace, "dns", "minilb", pod), corefile}
	}
	const none = " is labelled as a DNS server, and its ServiceAccount may not list the Services of all namespaces, or of others that its Corefile names"
	for _, tc := range []struct {
		about   string
		objects []runtime.Object
		grants  []string // "ACCOUNT lists NAMESPACE", "" for all
		zone    string   // of the Corefile that is found
		err     string
	}{
		{"one of all namespaces", server("lan", "dns", ""), []string{"lan/dns lists "}, "lan.", ""},
		{"the default account", server("lan", "", ""), []string{"lan/default lists "}, "lan.", ""},
		{"a tenant's beside it", slices.Concat(server("lan", "dns", ""), server("tenant", "", "namespaces tenant")), []string{"lan/dns lists ", "tenant/default lists tenant"}, "lan.", ""},
		{"a tenant's", server("tenant", "", ""), nil, "", "Deployment tenant/dns" + none},
		{"a tenant's of the own namespace", server("tenant", "", "namespaces tenant"), []string{"tenant/default lists tenant"}, "", "Deployment tenant/dns" + none},
		{"a tenant's of all, granted the own", server("tenant", "", ""), []string{"tenant/default lists tenant"}, "", "Deployment tenant/dns" + none},
		{"two tenants'", slices.Concat(server("tenant", "", ""), server("other", "", "")), nil, "", "Deployment other/dns, Deployment tenant/dns" + none},
		{"one of some namespaces", slices.Concat(server("lan", "dns", "namespaces shop blog"), server("tenant", "", "namespaces shop tenant"), server("other", "", "wrong {")),
			[]string{"lan/dns lists shop", "lan/dns lists blog", "tenant/default lists tenant"}, "lan.", ""},
		{"one whose Corefile cannot be read", server("lan", "dns", "class a b"), []string{"lan/dns lists shop"}, "", "ConfigMap lan/corefile:3 - Error during parsing: class: "},
		{"two of all namespaces", slices.Concat(server("lan", "dns", ""), server("dmz", "dns", "")), []string{"lan/dns lists ", "dmz/dns lists "}, "", "there are several DNS servers: Deployment dmz/dns, Deployment lan/dns"},
	} {
		client := granting(func(account, namespace string) bool { return slices.Contains(tc.grants, account+" lists "+namespace) }, tc.objects...)
		found, err := Find(t.Context(), client)
		if (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%s: got the error %v, want %q", tc.about, err, tc.err)
		}
		if (found != nil) != (tc.zone != "") || found != nil && found.Corefile.Blocks[0].Options.Zones[0] != tc.zone {
			t.Errorf("%s: got %+v, want the zone %q", tc.about, found, tc.zone)
		}
	}
}
