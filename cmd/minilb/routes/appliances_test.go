package routes

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// applianceNodes have names that are alike, or too long for a gateway's.
func applianceNodes() []Entry {
	long := strings.Repeat("rack-1.", 20) + "node"
	return LAN{}.fromNodes(append(slices.Clone(routed), node("a-b", "10.244.2.0/24", "192.168.1.32"), node("a.b", "10.244.3.0/24 fd00:0:0:3::/64", "192.168.1.33 2001:db8::33"),
		node(long+"a", "10.244.4.0/24", "192.168.1.34"), node(long+"b--c", "10.244.5.0/24 fd00:0:0:5::/64", "192.168.1.35 2001:db8::35"), node("old", "", "192.168.1.36")))
}

// posted returns the bodies that a shell would post, by the end of the URL.
func posted(t *testing.T, text string) map[string][]map[string]any {
	t.Helper()
	call, all := regexp.MustCompile(`^curl .* -d '([^']*)' "\$[A-Z]+/([A-Za-z/]+)"\n$`), map[string][]map[string]any{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := call.FindStringSubmatch(line)
		if parts == nil {
			t.Fatalf("got the line %q", line)
		}
		var body map[string]any
		if err := json.Unmarshal([]byte(parts[1]), &body); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all[parts[2]] = append(all[parts[2]], body)
	}
	return all
}

// matches looks whether fields have the forms that the vendor's model gives.
func matches(t *testing.T, fields map[string]any, forms map[string]string) {
	t.Helper()
	for name, value := range fields {
		text, is := value.(string)
		if form, known := forms[name]; !known || is && !regexp.MustCompile("^("+form+")$").MatchString(text) {
			t.Errorf("the field %s is %v, want %q", name, value, form)
		}
	}
}

// routesTo returns destinations and next hops, of routes that name gateways.
func routesTo(t *testing.T, gateways map[string]string, of map[string]string) (all []string) {
	t.Helper()
	for destination, name := range of {
		if gateways[name] == "" {
			t.Errorf("the route to %s has the gateway %q, which is none", destination, name)
		}
		all = append(all, destination+" "+gateways[name])
	}
	slices.Sort(all)
	return all
}

func wantedRoutes(entries []Entry) (all []string) {
	for _, e := range entries {
		if e.Problem == "" {
			all = append(all, e.Destination.String()+" "+e.Gateway.String())
		}
	}
	slices.Sort(all)
	return all
}

// The fields are those of OPNsense's models Gateways.xml and Route.xml, with their masks.
func TestOPNsense(t *testing.T) {
	entries := applianceNodes()
	calls := posted(t, written(t, "opnsense", entries))
	gateways, to := map[string]string{}, map[string]string{}
	for _, body := range calls["api/routing/settings/addGateway"] {
		item := body["gateway_item"].(map[string]any)
		matches(t, item, map[string]string{"name": `[a-zA-Z0-9_\-]{1,32}`, "descr": ".*", "interface": "lan", "ipprotocol": "inet6?", "gateway": `[0-9a-f.:]+`, "monitor_disable": "[01]"})
		name, gateway := item["name"].(string), item["gateway"].(string)
		if gateways[name] != "" {
			t.Errorf("two gateways are called %s", name)
		}
		if addr := netip.MustParseAddr(gateway); addr.Is4() != (item["ipprotocol"] == "inet") {
			t.Errorf("the gateway %s is of %s", addr, item["ipprotocol"])
		}
		gateways[name] = gateway
	}
	for _, body := range calls["api/routes/routes/addroute"] {
		route := body["route"].(map[string]any)
		matches(t, route, map[string]string{"network": `[0-9a-f.:]+/\d+`, "gateway": `[a-zA-Z0-9_\-]{1,32}`, "descr": ".*", "disabled": "[01]"})
		to[route["network"].(string)] = route["gateway"].(string)
	}
	if got, want := routesTo(t, gateways, to), wantedRoutes(entries); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(calls["api/routing/settings/reconfigure"]) != 1 || len(calls["api/routes/routes/reconfigure"]) != 1 || len(calls) != 4 {
		t.Errorf("got calls %v", calls)
	}
}

// The elements are those that pfSense's pages write.
func TestPfSense(t *testing.T) {
	entries := applianceNodes()
	var elements strings.Builder
	for line := range strings.Lines(written(t, "pfsense", entries)) {
		if !strings.HasPrefix(line, "#") {
			elements.WriteString(line)
		}
	}
	var document struct {
		Gateways []struct {
			Interface string  `xml:"interface"`
			Gateway   string  `xml:"gateway"`
			Name      string  `xml:"name"`
			Protocol  string  `xml:"ipprotocol"`
			Monitor   *string `xml:"monitor_disable"` // is there if it is off
			About     string  `xml:"descr"`
		} `xml:"gateway_item"`
		Routes []struct {
			Network string `xml:"network"`
			Gateway string `xml:"gateway"`
		} `xml:"route"`
	}
	decoder := xml.NewDecoder(strings.NewReader("<config>" + elements.String() + "</config>"))
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Errorf("behind it: %v", err)
	}
	gateways, to := map[string]string{}, map[string]string{}
	for _, g := range document.Gateways {
		gateways[g.Name] = g.Gateway
		if !regexp.MustCompile("^[a-zA-Z0-9_]{1,31}$").MatchString(g.Name) || g.Interface != "lan" || g.Monitor == nil || !strings.HasPrefix(g.About, "minilb ") || netip.MustParseAddr(g.Gateway).Is4() != (g.Protocol == "inet") {
			t.Errorf("got %+v", g)
		}
	}
	for _, r := range document.Routes {
		to[r.Network] = r.Gateway
	}
	if got, want := routesTo(t, gateways, to), wantedRoutes(entries); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The fields and their forms are those of UniFi's own description of its objects.
func TestUniFi(t *testing.T) {
	entries := applianceNodes()
	var got []string
	for _, body := range posted(t, written(t, "unifi", entries))["proxy/network/api/s/default/rest/routing"] {
		matches(t, body, map[string]string{
			"enabled": "", "name": ".{1,128}", "type": "static-route", "static-route_type": "nexthop-route", "static-route_distance": "",
			"static-route_network": `([0-9]{1,3}\.){3}[0-9]{1,3}/([1-9]|[1-2][0-9]|3[0-2])|[a-fA-F0-9:]+/([1-9]|[1-9][0-9]|1[01][0-9]|12[0-8])`,
			"static-route_nexthop": `([0-9]{1,3}\.){3}[0-9]{1,3}|[a-fA-F0-9:]+`,
		})
		if body["enabled"] != true || body["static-route_distance"] != float64(1) {
			t.Errorf("got %v", body)
		}
		got = append(got, body["static-route_network"].(string)+" "+body["static-route_nexthop"].(string))
	}
	slices.Sort(got)
	if want := wantedRoutes(entries); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFritzBox(t *testing.T) {
	const want = oldNode + "Home Network / Network / Network Settings / Additional Settings / Static Routing Table / IPv4 Routes / New IPv4 Route\n" +
		"  IPv4 network 10.244.0.0       subnet mask 255.255.255.0    gateway 192.168.1.30\n  IPv4 network 10.244.128.0     subnet mask 255.255.128.0    gateway 192.168.1.31\n" +
		"Home Network / Network / Network Settings / Additional Settings / Static Routing Table / IPv6 Routes / New IPv6 Route\n" +
		"  IPv6 network fd00:1::  prefix length 64  gateway 2001:db8::31\n"
	entries := LAN{}.fromNodes([]*corev1.Node{
		node("node1", "10.244.0.0/24", "192.168.1.30"), node("node2", "10.244.128.0/17 fd00:1::/64", "192.168.1.31 2001:db8::31"), node("old", "", "192.168.1.32"),
	})
	if got := written(t, "fritzbox", entries); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
