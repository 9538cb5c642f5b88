package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns/caddy"

	_ "github.com/minilb/minilb/plugin/minilb"
)

// properties are the chart's values that become arguments of the plugin, with what the plugin takes
// and what it refuses.
var properties = []struct {
	set            string // the chart's value, with %s in --set's form
	block          string // with %s for the value
	takes, refuses []string
}{
	{"domain=%s", "minilb %s {\n", []string{"minilb", "Cluster.lan.", "1a.org", "x.1-2"}, []string{".", "a_b.org", "example.1", "-a.org", "a..b", strings.Repeat("a", 64), strings.Repeat("a.", 63) + "a", "10.0.0.1"}},
	{"plugin.extraZones={%s}", "minilb minilb %s {\n", []string{"svc.example.org", "10.244.0.0/16", "fd00:10:244::/64", "244.10.in-addr.arpa"}, []string{"a_b.org", "example.1", "10.0.0.0/33", "-a.org", "fd00::/129"}},
	{"class=%s", "minilb minilb {\nclass %s\n", []string{"minilb", "example.org/Mini_lb.v1"}, []string{"a/b/c", "-a", "example..org/a", "Example.org/a", strings.Repeat("a", 64)}},
	{"plugin.resources={%s}", "minilb minilb {\nresources %s\n", []string{"service", "ingress", "gateway"}, []string{"services", "Service"}},
	{"plugin.namespaces={%s}", "minilb minilb {\nnamespaces %s\n", []string{"shop", "a-1"}, []string{"Shop", "a.b", strings.Repeat("a", 64)}},
	{"plugin.hostAnnotations={%s}", "minilb minilb {\nhost_annotations %s\n", []string{"minilb/host", "external-dns.alpha.kubernetes.io/hostname", "Host"}, []string{"/host", "minilb/", "a/b/c", "mini_lb/host", "minilb/service", "minilb/alpn", "minilb/node-port", "minilb/ignore", "minilb/ttl", "minilb/weight"}},
	{"plugin.families={%s}", "minilb minilb {\nfamilies %s\n", []string{"ipv4", "ipv6"}, []string{"IPv4", "ipv5"}},
	{"plugin.claims[0].suffixes={%s}", "minilb minilb {\nclaim %s\n", []string{".", "example.org", "Example.org."}, []string{"*.example.org", "a..b", "10.0.0.1", "a_b.org", strings.Repeat("a", 64) + ".org"}},
	{"plugin.claims[0].from={%s}", "minilb minilb {\nclaim x.org from %s\n", []string{"shop"}, []string{"Shop", "a.b"}},
	{"plugin.addresses={%s}", "minilb minilb {\naddresses %s\n", []string{"192.168.1.0/24", "0.0.0.0/0", "10.0.0.1/32", "fd00::/64", "::/0"}, []string{"10.0.0.1", "10.0.0.0/33", "fd00::/129", "lan", "10.0.0.0-10.0.0.9"}},
	{"plugin.excludeNodes=%s", "minilb minilb {\nexclude_nodes %s\n", []string{"example.org/vps", "!home", "zone!=a", "zone in (a)", "site == b", "x=", "a.b-c_d"}, []string{"a b", "a_/b", "zone in a", "=", "a/b/c", "a=b=c", "zone in ()b"}},
	{"plugin.near[0].clients={%s}", "minilb minilb {\nnear %s zone a\n", []string{"192.168.1.0/24", "fd00::/64", "0.0.0.0/0"}, []string{"10.0.0.1", "10.0.0.0/33", "lan"}},
	{"plugin.near[0].zones={%s}", "minilb minilb {\nnear 10.0.0.0/8 zone %s\n", []string{"attic", "eu-1.A_b", "zone"}, []string{"a/b", "-a", strings.Repeat("a", 64)}},
	{"plugin.near[1].nodes={%s}", "minilb minilb {\nnear 10.0.0.0/8 node %s\n", []string{"n1", "n1.example.org", "node"}, []string{"N1", "a_b", "a..b"}},
	{"plugin.ns={%s}", "minilb minilb {\nns %s\n", []string{"192.0.2.53", "fd00::1", "ns.example.org"}, []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "a_b.org", "fe80::1%eth0"}},
	{"plugin.ttl=%s", "minilb minilb {\nttl %s\n", []string{"0", "3600"}, []string{"3601", "-1", "1.5"}},
	{"plugin.maxAnswers=%s", "minilb minilb {\nmax_answers %s\n", []string{"0", "65535"}, []string{"65536", "-1", "many"}},
	{"plugin.probe=%s", "minilb minilb {\nprobe %s\n", []string{"100ms", "1s", "1.5s", "0.1s", "1m", "60s", "59999ms", "1s500ms"}, []string{"10ms", "99ms", "61s", "2m", "1h", "0s", "0.05s", "often", "60001ms"}},
	{"plugin.startupTimeout=%s", "minilb minilb {\nstartup_timeout %s\n", []string{"0s", "5s", "1m30s", "0.5s", "100ms"}, []string{"5", "-1s", "1d", "9999999999h", "soon"}},
	{"plugin.fallthrough={%s}", "minilb minilb {\nfallthrough %s\n", []string{".", "svc.example.org"}, []string{"a..b", strings.Repeat("a", 64)}},
}

// What the plugin's parser refuses, the schema refuses, and takes what that takes: a value that passes
// here and not there ends each new pod.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: https://127.0.0.1:1}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"), 0o600))
	setup, err := caddy.DirectiveAction("dns", "minilb")
	must(t, err)
	parses := func(block, value string) error {
		return setup(caddy.NewTestController("dns", fmt.Sprintf(block, value)+"kubeconfig "+kubeconfig+"\n}"))
	}
	for round := range 9 {
		base := "plugin.claims[0].suffixes={x.org},plugin.near[0].clients={10.0.0.0/8},plugin.near[0].zones={a},plugin.near[1].clients={10.0.0.0/8},plugin.near[1].nodes={a}"
		taken, not, refusals := []string{base}, []string{base}, []string{""}
		for _, p := range properties {
			if round < len(p.takes) {
				if err := parses(p.block, p.takes[round]); err != nil {
					t.Errorf("%s: the plugin refuses %q: %v", p.set, p.takes[round], err)
				}
				taken = append(taken, fmt.Sprintf(p.set, p.takes[round]))
			}
			if round < len(p.refuses) {
				if err := parses(p.block, p.refuses[round]); err == nil {
					t.Errorf("%s: the plugin takes %q", p.set, p.refuses[round])
				}
				not = append(not, fmt.Sprintf(p.set, p.refuses[round]))
				path, _, _ := strings.Cut(strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(p.set), "=")
				refusals = append(refusals, "at '/"+path)
			}
		}
		rendered(t, taken...)
		said := refused(t, not...)
		for i, want := range refusals {
			if !strings.Contains(said, want) {
				t.Errorf("%s is taken", not[i])
			}
		}
	}
}

// What concerns several values is refused, too.
func TestTogetherRefused(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"plugin.ns={192.0.2.53,ns.example.org}":                                      "plugin.ns: give either names or addresses",
		"plugin.claims[0].suffixes={a.org},plugin.claims[1].suffixes={b.org,A.org.}": `plugin.claims: suffix "A.org." is given twice: name all its namespaces in one item`,
	} {
		if said := refused(t, set); !strings.Contains(said, want) {
			t.Errorf("%s: got %q, want %q", set, said, want)
		}
	}
}
