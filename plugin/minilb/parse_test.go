package minilb

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/minilb/minilb/plugin/minilb/config"
)

func controller(block string) *caddy.Controller {
	c := caddy.NewTestController("dns", block)
	c.ServerBlockKeys = []string{"dns://.:53"}
	return c
}

// parseBoth parses a plugin block as the plugin does, and as the companion reads it from a file.
func parseBoth(block string) (plugin, companion *config.Block, pluginErr, companionErr error) {
	plugin, pluginErr = parse(controller(block))
	corefile, companionErr := config.Read("Testfile", strings.NewReader("dns://.:53 { "+block+"\n}"))
	if companionErr == nil {
		companion = corefile.Blocks[0]
	}
	return plugin, companion, pluginErr, companionErr
}

func TestParseDefaults(t *testing.T) {
	conf, err := parse(controller("minilb minilb"))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Block{
		Options: config.Options{
			Zones: []string{"minilb."}, Class: "minilb", Services: true, Ingresses: true, Gateways: true, HostAnnotations: []string{"minilb/host"},
		},
		ServerZones: []string{"."}, TTL: 5, MaxAnswers: 16, StartupTimeout: 5 * time.Second,
	}
	if !reflect.DeepEqual(conf, want) {
		t.Errorf("got  %+v\nwant %+v", conf, want)
	}
}

func TestParseProperties(t *testing.T) {
	tests := []struct {
		block string
		check func(*config.Block) bool
	}{
		{"minilb MiniLB. lan minilb", func(c *config.Block) bool { return slices.Equal(c.Options.Zones, []string{"minilb.", "lan."}) }},
		{"minilb minilb {\n kubeconfig /etc/kube.conf\n}", func(c *config.Block) bool { return c.Kubeconfig == "/etc/kube.conf" && c.Context == "" }},
		{"minilb minilb {\n kubeconfig /etc/kube.conf lab\n}", func(c *config.Block) bool { return c.Kubeconfig == "/etc/kube.conf" && c.Context == "lab" }},
		{"minilb minilb {\n class example.org/lb\n}", func(c *config.Block) bool { return c.Options.Class == "example.org/lb" }},
		{"minilb minilb {\n default_class\n}", func(c *config.Block) bool { return c.Options.DefaultClass }},
		{"minilb minilb {\n resources service\n}", func(c *config.Block) bool { return c.Options.Services && !c.Options.Ingresses && !c.Options.Gateways }},
		{"minilb minilb {\n resources ingress\n}", func(c *config.Block) bool { return !c.Options.Services && c.Options.Ingresses && !c.Options.Gateways }},
		{"minilb minilb {\n resources ingress service\n}", func(c *config.Block) bool { return c.Options.Services && c.Options.Ingresses && !c.Options.Gateways }},
		{"minilb minilb {\n resources gateway\n}", func(c *config.Block) bool { return !c.Options.Services && !c.Options.Ingresses && c.Options.Gateways }},
		{"minilb minilb {\n namespaces b a b\n}", func(c *config.Block) bool { return slices.Equal(c.Options.Namespaces, []string{"a", "b"}) }},
		{"minilb minilb {\n ingress_classes nginx traefik\n}", func(c *config.Block) bool {
			return slices.Equal(c.Options.IngressClasses, []string{"nginx", "traefik"})
		}},
		{"minilb minilb {\n gateway_classes envoy traefik\n}", func(c *config.Block) bool {
			return slices.Equal(c.Options.GatewayClasses, []string{"envoy", "traefik"})
		}},
		{"minilb minilb {\n require_accepted off\n}", func(c *config.Block) bool { return c.Options.IgnoreAccepted }},
		{"minilb minilb {\n require_accepted on\n}", func(c *config.Block) bool { return !c.Options.IgnoreAccepted }},
		{"minilb minilb {\n host_annotations minilb/host external-dns.alpha.kubernetes.io/hostname\n}", func(c *config.Block) bool { return len(c.Options.HostAnnotations) == 2 }},
		{"minilb minilb {\n host_annotations b a b\n}", func(c *config.Block) bool { return slices.Equal(c.Options.HostAnnotations, []string{"a", "b"}) }},
		{"minilb minilb {\n claim ex.org Open.NET from prod stage\n claim .\n}", func(c *config.Block) bool {
			return reflect.DeepEqual(c.Options.Claims, []config.ClaimRule{{Suffix: "ex.org.", Namespaces: []string{"prod", "stage"}}, {Suffix: "open.net.", Namespaces: []string{"prod", "stage"}}, {Suffix: "."}})
		}},
		{"minilb 10.244.0.0/15 minilb fd00::/64", func(c *config.Block) bool { // D60
			return slices.Equal(c.Options.Zones, []string{"minilb."}) &&
				slices.Equal(c.Options.ReverseZones, []string{"244.10.in-addr.arpa.", "245.10.in-addr.arpa.", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."})
		}},
		{"minilb minilb 10.in-addr.arpa 10.0.0.0/8", func(c *config.Block) bool { return slices.Equal(c.Options.ReverseZones, []string{"10.in-addr.arpa."}) }},
		{"minilb minilb 0.0.0.0/0 ip6.arpa", func(c *config.Block) bool {
			return slices.Equal(c.Options.Zones, []string{"minilb."}) && slices.Equal(c.Options.ReverseZones, []string{"in-addr.arpa.", "ip6.arpa."})
		}},
		{"minilb minilb {\n ns a.org b.org A.org.\n}", func(c *config.Block) bool { return slices.Equal(c.Nameservers, []string{"a.org.", "b.org."}) }},
		{"minilb minilb {\n https\n}", func(c *config.Block) bool { return c.Options.HTTPS }},
		{"minilb minilb {\n ttl 0\n}", func(c *config.Block) bool { return c.TTL == 0 }},
		{"minilb minilb {\n ttl 3600\n}", func(c *config.Block) bool { return c.TTL == 3600 }},
		{"minilb minilb {\n max_answers 0\n}", func(c *config.Block) bool { return c.MaxAnswers == 0 }},
		{"minilb minilb {\n families ipv6\n}", func(c *config.Block) bool { return c.Options.NoIPv4 && !c.Options.NoIPv6 }},
		{"minilb minilb {\n ns 192.0.2.1 2001:db8::1\n}", func(c *config.Block) bool {
			return slices.Equal(c.Glue, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}) && c.Nameservers == nil
		}},
		{"minilb minilb {\n ns dns.example.org. Dns2.example.org\n}", func(c *config.Block) bool {
			return slices.Equal(c.Nameservers, []string{"dns.example.org.", "dns2.example.org."}) && c.Glue == nil
		}},
		{"minilb minilb", func(c *config.Block) bool { return c.Options.Probe == 0 }},
		{"minilb minilb {\n exclude_nodes example.org/vps\n}", func(c *config.Block) bool { return c.Options.ExcludeNodes.String() == "example.org/vps" }},
		{"minilb minilb {\n exclude_nodes zone in (b, a),!home\n}", func(c *config.Block) bool { return c.Options.ExcludeNodes.String() == "!home,zone in (a,b)" }},
		{"minilb minilb {\n exclude_nodes \"zone notin (a), x = y\"\n}", func(c *config.Block) bool { return c.Options.ExcludeNodes.String() == "x=y,zone notin (a)" }},
		{"minilb minilb {\n affinity\n}", func(c *config.Block) bool { return c.Options.Affinity && c.Options.ByClient() }},
		{"minilb minilb {\n near 192.168.1.7/24 fd00::/64 zone b a b\n near 192.168.1.0/28 node n1.example.org\n}", func(c *config.Block) bool {
			return reflect.DeepEqual(c.Options.Near, []config.NearRule{
				{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00::/64")}, Zones: []string{"a", "b"}},
				{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/28")}, Nodes: []string{"n1.example.org"}},
			}) && c.Options.ByClient() && c.Options.NearZones() && c.Options.NearNodes()
		}},
		{"minilb minilb {\n near ::/0 zone zone node\n}", func(c *config.Block) bool {
			return slices.Equal(c.Options.Near[0].Zones, []string{"node", "zone"}) && c.Options.NearZones() && !c.Options.NearNodes()
		}},
		{"minilb minilb", func(c *config.Block) bool {
			return !c.Options.ByClient() && !c.Options.NearZones() && !c.Options.NearNodes()
		}},
		{"minilb minilb {\n probe\n}", func(c *config.Block) bool { return c.Options.Probe == time.Second }},
		{"minilb minilb {\n probe 100ms\n}", func(c *config.Block) bool { return c.Options.Probe == 100*time.Millisecond }},
		{"minilb minilb {\n snapshot /tmp/snapshot\n}", func(c *config.Block) bool { return c.Snapshot == "/tmp/snapshot" }},
		{"minilb minilb {\n startup_timeout 0s\n}", func(c *config.Block) bool { return c.StartupTimeout == 0 }},
		{"minilb minilb {\n startup_timeout 1m30s\n}", func(c *config.Block) bool { return c.StartupTimeout == 90*time.Second }},
		{"minilb minilb {\n fallthrough\n}", func(c *config.Block) bool { return c.Falls("x.minilb.") }},
		{"minilb minilb {\n fallthrough sub.minilb\n}", func(c *config.Block) bool { return !c.Falls("x.minilb.") && c.Falls("x.sub.minilb.") }},
	}
	for _, tc := range tests {
		conf, companion, err, _ := parseBoth(tc.block)
		if err != nil {
			t.Errorf("%q: %v", tc.block, err)
		} else if !tc.check(conf) {
			t.Errorf("%q: got %+v", tc.block, conf)
		} else if !reflect.DeepEqual(conf, companion) {
			t.Errorf("%q: the companion reads %+v, not %+v", tc.block, companion, conf)
		}
	}
}

// Each wrong property stops the start with one line that names it, what it got and what it takes.
func TestParseErrors(t *testing.T) {
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63)
	tests := []struct{ block, want string }{
		{"minilb .", "Testfile:1 - Error during parsing: the root zone cannot be served"}, // D1
		{"minilb", "the root zone cannot be served"},
		{"minilb minilb .", "the root zone cannot be served"},
		{"minilb minilb a..b", `zones ["minilb" "a..b"]: not all of them are zone names`},
		{"minilb bad!zone", `zone: "bad!zone.": it is not a DNS name`},
		{"minilb " + long, "at most 125"}, // D33
		{"minilb 10.in-addr.arpa", `zones ["10.in-addr.arpa."] are only reverse zones: name the zone of the Services as well`},
		{"minilb 10.0.0.0/8", `for example "minilb minilb 10.in-addr.arpa."`},
		{"minilb 0.0.0.0/0", `zones ["in-addr.arpa."] are only reverse zones`},
		{"minilb ip6.arpa", "are only reverse zones"},
		{"minilb minilb 0/25.2.0.192.in-addr.arpa", "want whole octets or nibbles"},
		{"minilb minilb {\n https on\n}", `https: got "on", want no argument`},
		{"minilb minilb\nminilb lan", "once per Server Block"},
		{"minilb minilb {\n colour red\n}", `Testfile:2 - Error during parsing: unknown property "colour": want one of addresses, affinity, claim, class,`},
		{"minilb minilb {\n kubeconfig\n}", "kubeconfig: got nothing, want PATH [CONTEXT]"},
		{"minilb minilb {\n kubeconfig a b c\n}", `kubeconfig: got "a b c", want PATH [CONTEXT]`},
		{"minilb minilb {\n class\n}", "class: got nothing, want NAME"},
		{"minilb minilb {\n class a b\n}", `class: got "a b", want NAME`},
		{"minilb minilb {\n class a//b\n}", `class: "a//b" cannot be a loadBalancerClass`},
		{"minilb minilb {\n default_class yes\n}", `default_class: got "yes", want no argument`},
		{"minilb minilb {\n resources\n}", "resources: got nothing, want KIND...: service, ingress, gateway"},
		{"minilb minilb {\n resources service pods\n}", `resources: got "pods", want service, ingress or gateway`},
		{"minilb minilb {\n namespaces\n}", "namespaces: got nothing, want NAMESPACE..."},
		{"minilb minilb {\n namespaces a/b\n}", `namespaces: "a/b" cannot be a namespace`},
		{"minilb minilb {\n ingress_classes\n}", "ingress_classes: got nothing, want NAME..."},
		{"minilb minilb {\n gateway_classes\n}", "gateway_classes: got nothing, want NAME..."},
		{"minilb minilb {\n require_accepted\n}", "require_accepted: got nothing, want on or off"},
		{"minilb minilb {\n require_accepted no\n}", `require_accepted: got "no", want on or off`},
		{"minilb minilb {\n require_accepted on off\n}", `require_accepted: got "on off", want on or off`},
		{"minilb minilb {\n host_annotations\n}", "host_annotations: got nothing, want NAME..."},
		{"minilb minilb {\n host_annotations a/b/c\n}", `host_annotations: "a/b/c" cannot be an annotation`},
		{"minilb minilb {\n addresses\n}", "addresses: got nothing, want CIDR..."},
		{"minilb minilb {\n addresses 10.0.0.1\n}", `addresses: "10.0.0.1" is not a CIDR such as 192.168.1.0/24 or fd00::/64`},
		{"minilb minilb {\n addresses 10.0.0.0/8 ::ffff:10.0.0.0/104\n}", `addresses: "::ffff:10.0.0.0/104" is not a CIDR`},
		{"minilb minilb {\n addresses 10.0.0.0/8,fd00::/8\n}", `addresses: got "10.0.0.0/8,fd00::/8": separate by spaces`},
		{"minilb minilb {\n addresses 10.0.0.0/8\n addresses fd00::/8\n}", "addresses is given twice"},
		{"minilb minilb {\n claim\n}", "claim: got nothing, want SUFFIX... [from NAMESPACE...]"},
		{"minilb minilb {\n claim from prod\n}", `claim: got "from prod", want SUFFIX... [from NAMESPACE...]`},
		{"minilb minilb {\n claim ex.org from\n}", "claim: from: got nothing, want NAMESPACE..."},
		{"minilb minilb {\n claim ex.org from a/b\n}", `claim: from: "a/b" cannot be a namespace`},
		{"minilb minilb {\n claim *.ex.org\n}", `claim: suffix: "*.ex.org": it is not a DNS name`},
		{"minilb minilb {\n claim ex.org from a\n claim ex.org from b\n}", `claim: suffix "ex.org" is given twice`},
		{"minilb minilb {\n ttl\n}", "ttl: got nothing, want SECONDS"},
		{"minilb minilb {\n ttl 5 6\n}", `ttl: got "5 6", want SECONDS`},
		{"minilb minilb {\n ttl five\n}", `ttl: got "five", want SECONDS from 0 to 3600`},
		{"minilb minilb {\n ttl -1\n}", `ttl: got "-1", want SECONDS from 0 to 3600`},
		{"minilb minilb {\n ttl 3601\n}", `ttl: got "3601", want SECONDS from 0 to 3600`},
		{"minilb minilb {\n ttl 5s\n}", `ttl: got "5s", want SECONDS from 0 to 3600`},
		{"minilb minilb {\n max_answers\n}", "max_answers: got nothing, want COUNT"},
		{"minilb minilb {\n max_answers -3\n}", `max_answers: got "-3", want COUNT from 0 to 65535`},
		{"minilb minilb {\n max_answers all\n}", `max_answers: got "all", want COUNT`},
		{"minilb minilb {\n families\n}", "families: got nothing, want FAMILY...: ipv4, ipv6"},
		{"minilb minilb {\n families ipv5\n}", `families: got "ipv5", want ipv4 or ipv6`},
		{"minilb minilb {\n ns\n}", "ns: got nothing, want NAME... or ADDRESS..."},
		{"minilb minilb {\n ns 0.0.0.0\n}", `ns: "0.0.0.0" is not an address that clients can reach`},
		{"minilb minilb {\n ns 224.0.0.251\n}", `ns: "224.0.0.251" is not an address that clients can reach`},
		{"minilb minilb {\n ns fe80::1%eth0\n}", `ns: "fe80::1%eth0" is not an address that clients can reach`},
		{"minilb minilb {\n ns a_b!\n}", `ns: "a_b!": it is not a DNS name`},
		{"minilb minilb {\n ns dns.example.org 192.0.2.1\n}", "want either names or addresses"},
		{"minilb minilb {\n affinity on\n}", `affinity: got "on", want no argument`},
		{"minilb minilb {\n affinity\n affinity\n}", "affinity is given twice"},
		{"minilb minilb {\n near\n}", "near: got nothing, want CIDR... zone|node NAME..."},
		{"minilb minilb {\n near 192.168.1.0/24\n}", `near: got "192.168.1.0/24", want CIDR... zone|node NAME...`},
		{"minilb minilb {\n near 192.168.1.0/24 zone\n}", `near: got "192.168.1.0/24 zone", want CIDR... zone|node NAME...`},
		{"minilb minilb {\n near zone a\n}", `near: got "zone a", want CIDR... zone|node NAME...`},
		{"minilb minilb {\n near 192.168.1.1 zone a\n}", `near: "192.168.1.1" is not a CIDR such as 192.168.1.0/24 or fd00::/64`},
		{"minilb minilb {\n near ::ffff:192.168.1.0/120 zone a\n}", `near: "::ffff:192.168.1.0/120" is not a CIDR`},
		{"minilb minilb {\n near 192.168.1.0/24,10.0.0.0/8 zone a\n}", "near: got \"192.168.1.0/24,10.0.0.0/8 zone a\": separate by spaces"},
		{"minilb minilb {\n near 192.168.1.0/24 192.168.1.7/24 zone a\n}", "near: 192.168.1.0/24 is given twice: want each network once"},
		{"minilb minilb {\n near 192.168.1.0/24 zone a\n near 192.168.1.0/24 node b\n}", "near: 192.168.1.0/24 is given twice: want each network once"},
		{"minilb minilb {\n near 192.168.1.0/24 zone a/b\n}", `near: "a/b" cannot be a zone`},
		{"minilb minilb {\n near 192.168.1.0/24 zone \"\"\n}", `near: "" cannot be a zone`},
		{"minilb minilb {\n near 192.168.1.0/24 node A_b\n}", `near: "A_b" cannot be a node`},
		{"minilb minilb {\n exclude_nodes\n}", "exclude_nodes: got nothing, want a SELECTOR of labels such as example.org/vps"},
		{"minilb minilb {\n exclude_nodes \"\"\n}", "exclude_nodes: got nothing, want a SELECTOR"},
		{"minilb minilb {\n exclude_nodes a b\n}", `exclude_nodes: "a b" is not a label selector such as example.org/vps or "zone in (a, b)": `},
		{"minilb minilb {\n exclude_nodes a_/b\n}", `exclude_nodes: "a_/b" is not a label selector`},
		{"minilb minilb {\n exclude_nodes a\n exclude_nodes b\n}", "exclude_nodes is given twice"},
		{"minilb minilb {\n probe 99ms\n}", `probe: got "99ms", want nothing or an INTERVAL such as 500ms, from 100ms to 1m0s`},
		{"minilb minilb {\n probe 61s\n}", `probe: got "61s", want nothing or an INTERVAL`},
		{"minilb minilb {\n probe 5\n}", `probe: got "5", want nothing or an INTERVAL`},
		{"minilb minilb {\n probe -1s\n}", `probe: got "-1s", want nothing or an INTERVAL`},
		{"minilb minilb {\n probe 1s 2s\n}", `probe: got "1s 2s", want nothing or an INTERVAL`},
		{"minilb minilb {\n snapshot\n}", "snapshot: got nothing, want PATH"},
		{"minilb minilb {\n snapshot a b\n}", `snapshot: got "a b", want PATH`},
		{"minilb minilb {\n startup_timeout\n}", "startup_timeout: got nothing, want DURATION"},
		{"minilb minilb {\n startup_timeout 5\n}", `startup_timeout: got "5", want a DURATION such as 5s`},
		{"minilb minilb {\n startup_timeout -5s\n}", `startup_timeout: got "-5s", want a DURATION`},
		{"minilb minilb {\n fallthrough a..b\n}", `fallthrough: "a..b" is not a zone`},
		{"minilb minilb {\n fallthrough a.org,b.org\n}", `fallthrough: got "a.org,b.org": separate by spaces`},
		{"minilb minilb,lan", `zones: got "minilb,lan": separate by spaces, not by commas`},
		{"minilb minilb {\n host_annotations a,b\n}", `host_annotations: got "a,b": separate by spaces, not by commas`},
		{"minilb minilb {\n host_annotations a, b\n}", `host_annotations: got "a, b": separate by spaces`},
		{"minilb minilb {\n host_annotations minilb/host minilb/service\n}", `host_annotations: "minilb/service" has another meaning and lists no hosts`},
		{"minilb minilb {\n host_annotations minilb/ignore\n}", `host_annotations: "minilb/ignore" has another meaning`},
		{"minilb minilb {\n claim ex.org,ex.net\n}", `claim: got "ex.org,ex.net": separate by spaces`},
		{"minilb minilb {\n claim ex.org from x,y\n}", `claim: from: got "x,y": separate by spaces`},
		{"minilb minilb {\n resources service,ingress\n}", `resources: got "service,ingress": separate by spaces`},
		{"minilb minilb {\n namespaces a,b\n}", `namespaces: got "a,b": separate by spaces`},
		{"minilb minilb {\n ingress_classes a,b\n}", `ingress_classes: got "a,b": separate by spaces`},
		{"minilb minilb {\n gateway_classes a,b\n}", `gateway_classes: got "a,b": separate by spaces`},
		{"minilb minilb {\n families ipv4,ipv6\n}", `families: got "ipv4,ipv6": separate by spaces`},
		{"minilb minilb {\n ns 192.0.2.1,192.0.2.2\n}", `ns: got "192.0.2.1,192.0.2.2": separate by spaces`},
		{"minilb minilb {\n ns 10.1\n}", `ns: "10.1": its last label "1" is a number`},
		{"minilb minilb {\n ttl 5\n ttl 6\n}", "Testfile:3 - Error during parsing: ttl is given twice"},
	}
	for _, tc := range tests {
		_, _, err, companionErr := parseBoth(tc.block)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", tc.block, err, tc.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %v", tc.block, err)
		} else if companionErr == nil || companionErr.Error() != err.Error() {
			t.Errorf("%q: the companion reports\n%v, not\n%v", tc.block, companionErr, err)
		}
	}
}

// Every property is documented, and every documented one exists.
func TestPropertiesDocumented(t *testing.T) {
	documented := manPageProperties(t)
	if got := config.PropertyNames(); !slices.Equal(got, documented) {
		t.Errorf("the plugin takes %v,\nREADME.md documents %v", got, documented)
	}
}
