package chart_test

import (
	"os"
	"strings"
	"testing"
)

// The properties of the plugin come from values, and are left out where those say nothing.
func TestProperties(t *testing.T) {
	t.Parallel()
	if got, want := pluginBlock(t, rendered(t)), "minilb minilb {\nttl 1\nns {$NODE_IP}\nprobe 500ms\n}"; got != want {
		t.Errorf("by default: got\n%s\nwant\n%s", got, want)
	}
	want := `minilb cluster.lan svc.example.org 10.244.0.0/16 {
kubeconfig /etc/other/kubeconfig lab
class example.org/minilb
default_class
resources service ingress gateway
ingress_classes nginx traefik
gateway_classes envoy
host_annotations minilb/host external-dns.alpha.kubernetes.io/hostname
families ipv4
require_accepted off
claim shop.example.org shop.example.net from shop
claim .
addresses 192.168.1.0/24 fd00::/64
exclude_nodes example.org/vps, zone in (a, b)
affinity
near 192.168.1.0/24 fd00:1::/64 zone attic cellar
near 192.168.2.0/24 node node1.example.org
ttl 0
max_answers 8
ns 192.0.2.53
https
probe 500ms
startup_timeout 7s
snapshot /var/lib/minilb/snapshot
fallthrough svc.example.org
}`
	if got := pluginBlock(t, variant(t, "everything")); got != want {
		t.Errorf("with everything: got\n%s\nwant\n%s", got, want)
	}
	for _, test := range []struct{ set, want string }{
		{
			"plugin.namespaces={shop,web},plugin.resources={gateway},plugin.requireAccepted=true,plugin.fallthrough=true,defaultClass=true",
			"default_class\nresources gateway\nnamespaces shop web\nrequire_accepted on\nttl 1\nns {$NODE_IP}\nprobe 500ms\nfallthrough",
		},
		{
			"plugin.kubeconfig.path=/etc/kubeconfig,plugin.claims[0].suffixes={a.org},plugin.claims[0].from={x,y},plugin.ttl=3600,plugin.maxAnswers=0",
			"kubeconfig /etc/kubeconfig\nclaim a.org from x y\nttl 3600\nmax_answers 0\nns {$NODE_IP}\nprobe 500ms",
		},
		{"plugin.probe=", "ttl 1\nns {$NODE_IP}"},
		{"plugin.probe=off", "ttl 1\nns {$NODE_IP}"},
		{"plugin.probe=false,plugin.ttl=null", "ns {$NODE_IP}"},
		{"plugin.probe=null", "ttl 1\nns {$NODE_IP}"},
	} {
		check(t, test.set, pluginBlock(t, rendered(t, test.set)), "minilb minilb {\n"+test.want+"\n}")
	}
}

// Every property that the plugin's man page has can be had by values.
func TestAllProperties(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../plugin/minilb/README.md")
	must(t, err)
	_, syntax, _ := strings.Cut(string(page), "\nminilb [ZONES...] {\n")
	syntax, _, found := strings.Cut(syntax, "\n}\n")
	if !found {
		t.Fatal("the man page has no syntax")
	}
	written := pluginBlock(t, variant(t, "everything", "plugin.namespaces={shop}"))
	for line := range strings.Lines(syntax) {
		if property := strings.Fields(line)[0]; !strings.Contains(written, "\n"+property) {
			t.Errorf("no value gives %s:\n%s", property, written)
		}
	}
}

// pluginBlock returns the lines of the plugin block.
func pluginBlock(t *testing.T, manifest string) string {
	t.Helper()
	text := corefile(t, manifest)
	begin := strings.Index(text, "\nminilb ") + 1
	end := strings.Index(text[begin:], "\n}")
	return text[begin : begin+end+2]
}

// What is around the plugin comes from values, too.
func TestServerBlock(t *testing.T) {
	t.Parallel()
	everything := corefile(t, variant(t, "everything"))
	for _, want := range []string{
		".:5353 10.in-addr.arpa:5353 {\n",
		"\nhealth :18080 {\nlameduck 10s\n}\nready :18181\nprometheus :19153\n",
		"\nlog . {\nclass denial\n}\nmetadata\n",
		"\ncache\nforward corp.example.org 192.0.2.1 192.0.2.2 {\nmax_concurrent 1000\npolicy sequential\nprefer_udp\n}\nforward . 192.0.2.3 {\nmax_concurrent 1000000\n}\n}\n",
		"\nexample.net:1053 {\nwhoami\n}",
	} {
		if !strings.Contains(everything, want) {
			t.Errorf("got\n%s\nwithout\n%s", everything, want)
		}
	}
	if strings.Contains(everything, "\nloop\n") {
		t.Error("loop is off, and there")
	}

	// Whoever names only upstreams has a bound on what waits for them, and a size of one's own goes before the chart's.
	own := corefile(t, rendered(t, "dns.kind=Deployment", "corefile.forward[0].to={192.0.2.1}", "corefile.extraConfig=bufsize 4096"))
	for _, want := range []string{"\nforward . 192.0.2.1 {\nmax_concurrent 1000\n}\n", "\nbufsize 4096\nbufsize 1232\n"} {
		if !strings.Contains(own, want) {
			t.Errorf("got\n%s\nwithout\n%s", own, want)
		}
	}

	alone := corefile(t, rendered(t, "corefile.forward=null", "corefile.zones={minilb,example.org}"))
	for _, plugin := range []string{"\nforward", "\ncache", "\nloop"} {
		if strings.Contains(alone, plugin) {
			t.Errorf("without an upstream there is %q:\n%s", plugin, alone)
		}
	}
	if !strings.HasPrefix(alone, "minilb:1053 example.org:1053 {\n") {
		t.Errorf("zones: got\n%s", alone)
	}

	node := corefile(t, variant(t, "hostnetwork"))
	if want := ".:53 quic://.:853 https://.:443 tls://.:853 {"; !sameWords(strings.SplitN(node, "\n", 2)[0], want) {
		t.Errorf("encrypted, in the node's network: got\n%s\nwant %s", node, want)
	}
	for _, want := range []string{
		"\nbind {$NODE_IP}\ntls /etc/minilb-tls/tls.crt /etc/minilb-tls/tls.key\n",
		"\nhealth 127.0.0.1:8080 {\nlameduck 8s\n}\nready 127.0.0.1:8181\nprometheus [{$NODE_IP}]:9153\n",
		"\nacl {\nallow net 127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16\nallow net ::1 fc00::/7 fe80::/10\nblock\n}\n",
	} {
		if !strings.Contains(node, want) {
			t.Errorf("got\n%s\nwithout%s", node, want)
		}
	}

	// An acl of one's own is asked before the chart's, which there is where the server sees clients' addresses.
	own = corefile(t, rendered(t, "dns.hostPort=53", "corefile.extraConfig=acl {\nallow net 2001:db8:1200::/56\n}"))
	if want := "\nacl {\nallow net 2001:db8:1200::/56\n}\nacl {\nallow net 127.0.0.0/8 "; !strings.Contains(own, want) {
		t.Errorf("got\n%s\nwithout%s", own, want)
	}
	for set, want := range map[string]bool{
		"dns.kind=DaemonSet":  true,
		"dns.kind=Deployment": false,
		"dns.kind=Deployment,dns.service.externalTrafficPolicy=Local":  true,
		"dns.kind=DaemonSet,dns.service.externalTrafficPolicy=Cluster": false,
		"dns.kind=Deployment,dns.hostPort=53":                          true,
		"dns.kind=Deployment,dns.service.type=ClusterIP":               true,
	} {
		if text := corefile(t, rendered(t, set)); strings.Contains(text, "\nacl") != want {
			t.Errorf("%s: an acl %v, want %v:\n%s", set, !want, want, text)
		}
	}

	override := corefile(t, variant(t, "override"))
	if !strings.HasPrefix(override, "minilb:1053 {\nhealth {\n") || !strings.HasSuffix(override, "template ANY ANY elsewhere.minilb {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}\n}") {
		t.Errorf("a Corefile of one's own: got\n%s", override)
	}
}

// sameWords reports whether two lines have the same words, in any order.
func sameWords(a, b string) bool {
	seen := map[string]int{}
	for _, word := range strings.Fields(a) {
		seen[word]++
	}
	for _, word := range strings.Fields(b) {
		seen[word]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}
