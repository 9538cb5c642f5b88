package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// G40–G44: what a Gateway's status can lead to.
func TestGatewayAddresses(t *testing.T) {
	for addresses, want := range map[string]string{
		`[]`:                                    "a.ex.org.: Gateway infra/gw: its status has no address yet: is its controller running, and does it publish its Service's? Annotation minilb/service can name a Service instead",
		`[{value: 10.0.0.5}]`:                   "a.ex.org. -> 10.0.0.5",
		`[{type: IPAddress, value: "fd00::1"}]`: "a.ex.org. -> fd00::1",
		`[{value: "::ffff:10.0.0.5"}, {value: 10.0.0.5}]`:                                                                   "a.ex.org. -> 10.0.0.5 10.0.0.5", // the resolver drops duplicates
		`[{type: Hostname, value: GW.infra.minilb}]`:                                                                        "a.ex.org. -> gw.infra.minilb.",
		`[{type: Hostname, value: gw-istio.infra.svc.cluster.local}]`:                                                       `a.ex.org.: Gateway infra/gw: its address "gw-istio.infra.svc.cluster.local" can be reached in the cluster alone; annotation minilb/service can name a Service instead`,
		`[{type: Hostname, value: gw-istio.infra.svc.corp.internal}]`:                                                       `a.ex.org.: Gateway infra/gw: its address "gw-istio.infra.svc.corp.internal" can be reached in the cluster alone; annotation minilb/service can name a Service instead`, // of another cluster domain
		`[{type: Hostname, value: gw.other.svc.corp.internal}]`:                                                             "a.ex.org. -> gw.other.svc.corp.internal.",                                                                                                                              // for check and explain to find out
		`[{type: Hostname, value: gw.infra.corp.internal}]`:                                                                 "a.ex.org. -> gw.infra.corp.internal.",
		`[{type: Hostname, value: gw.infra.svc}, {value: 10.0.0.6}]`:                                                        "a.ex.org. -> 10.0.0.6",
		`[{type: Hostname, value: svc.example.org}]`:                                                                        "a.ex.org. -> svc.example.org.",
		`[{type: Hostname, value: "*.ex.org"}]`:                                                                             `a.ex.org.: Gateway infra/gw: its address "*.ex.org" of type Hostname is no IP address and no hostname`,
		`[{type: NamedAddress, value: 10.0.0.5}]`:                                                                           `a.ex.org.: Gateway infra/gw: its address "10.0.0.5" of type NamedAddress is no IP address and no hostname`,
		`[{type: example.org/x, value: 10.0.0.5}]`:                                                                          `a.ex.org.: Gateway infra/gw: its address "10.0.0.5" of type example.org/x is no IP address and no hostname`,
		`[{value: 10.0.0.5, routability: Cluster}]`:                                                                         `a.ex.org.: Gateway infra/gw: its address "10.0.0.5" can be reached in the cluster alone; annotation minilb/service can name a Service instead`,
		`[{value: 10.0.0.5, routability: Cluster}, {value: 10.0.0.6, routability: Public}, {type: NamedAddress, value: x}]`: "a.ex.org. -> 10.0.0.6",
		`[{value: not-an-ip}]`:                                                                                              "a.ex.org.: Gateway infra/gw: its status has no usable address",
		`[{type: Hostname, value: gw.mysvc}]`:                                                                               "a.ex.org. -> gw.mysvc.",
		`[{type: Hostname, value: gw.cluster.local}]`:                                                                       "a.ex.org. -> gw.cluster.local.",
		`[{type: Hostname, value: "bad!host"}]`:                                                                             "a.ex.org.: Gateway infra/gw: its status has no usable address",
	} {
		manifest := strings.Replace(gatewayWith(open), "[{value: 10.0.0.5}]", addresses, 1) + routeOf(object.KindHTTPRoute, "a.ex.org", toGateway)
		manifest = strings.Replace(manifest, "gatewayClassName: gc,", "gatewayClassName: gc, addresses: [{value: 10.9.9.9}],", 1) // never spec's
		if got := told(testObjects(t, manifest), config.Options{}); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %q, want %q", addresses, got, want)
		}
	}
	bad := testObjects(t, strings.Replace(gatewayWith(open), "10.0.0.5", "not-an-ip", 1))
	for gw := range maps.Values(bad.gateways) {
		if len(gw.Targets.Problems) != 1 || gw.Targets.Problems[0].Ref.String() != "Gateway infra/gw" {
			t.Errorf("got problems %v, want one of the Gateway", gw.Targets.Problems)
		}
	}
}

// Whatever its controller writes, what is said of a Gateway's address is a line of bounded length.
func TestGatewayAddressesLong(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, address := range []string{"{value: %s}", "{type: Hostname, value: '%s!'}", "{type: Hostname, value: %s.svc}", "{type: %s, value: x}", "{type: x, value: %s}", "{routability: Cluster, value: %s}"} {
		objects := testObjects(t, strings.Replace(gatewayWith(open), "{value: 10.0.0.5}", fmt.Sprintf(address, long), 1))
		for gw := range maps.Values(objects.gateways) {
			if gw.Targets.Missing == "" || len(gw.Targets.Missing) > 400 {
				t.Errorf("%s: got %.500q", address, gw.Targets.Missing)
			}
			for _, p := range gw.Targets.Problems {
				if len(p.Text) > 400 {
					t.Errorf("%s: got the problem %.500q", address, p.Text)
				}
			}
		}
	}
}
