package translator

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// slicesAs makes slices of Service shop/web that are written "PORT: ADDRESS CONDITIONS HOSTNAME POD, …":
// the port is called https, HOSTNAME and POD may be "-" or left out.
func slicesAs(t *testing.T, written ...string) (all []*object.EndpointSlice) {
	t.Helper()
	for i, text := range written {
		number, endpoints, _ := strings.Cut(text, ": ")
		obj := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("web-", i), Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		port, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		obj.Ports = []discoveryv1.EndpointPort{{Name: pointer("https"), Port: pointer(int32(port))}}
		for text := range strings.SplitSeq(endpoints, ", ") {
			fields := append(strings.Fields(text), "-", "-")
			e := discoveryv1.Endpoint{Addresses: fields[:1], Conditions: conditionsOf(fields[1])}
			if fields[2] != "-" {
				e.Hostname = &fields[2]
			}
			if fields[3] != "-" {
				e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: fields[3], UID: types.UID("uid-" + fields[3])}
			}
			if strings.Contains(fields[0], ":") {
				obj.AddressType = discoveryv1.AddressTypeIPv6
			}
			obj.Endpoints = append(obj.Endpoints, e)
		}
		all = append(all, object.NewEndpointSlice(obj, &object.Fields{}))
	}
	return all
}

// E3, E8, D40, D60: what is usable is decided once for each entry, and everything that is answered
// takes the very same ones.
func TestEntries(t *testing.T) {
	random := seeded(t)
	for _, tc := range []struct {
		what                               string
		slices                             []string
		addrs, srv, names, pointers, probe string
		https                              uint16
	}{
		{"hostNetwork: two pods of a node", []string{"8080: 192.0.2.11 RSt", "9090: 192.0.2.11 RSt"},
			"192.0.2.11", "192-0-2-11:8080 192-0-2-11:9090", "192-0-2-11", "192-0-2-11", "192.0.2.11:8080 192.0.2.11:9090", 0},
		{"hostNetwork: the old pod drains, the new one is ready", []string{"8080: 192.0.2.11 rST", "9090: 192.0.2.11 RSt"},
			"192.0.2.11", "192-0-2-11:9090", "192-0-2-11", "192-0-2-11", "192.0.2.11:9090", 9090},
		{"hostNetwork: so it is beside another node", []string{"8080: 192.0.2.11 rST", "9090: 192.0.2.11 RSt, 192.0.2.12 RSt"},
			"192.0.2.11 192.0.2.12", "192-0-2-11:9090 192-0-2-12:9090", "192-0-2-11 192-0-2-12", "192-0-2-11 192-0-2-12", "192.0.2.11:9090 192.0.2.12:9090", 9090},
		{"hostNetwork: one is not ready", []string{"8080: 192.0.2.11 rst", "9090: 192.0.2.11 RSt"},
			"192.0.2.11", "192-0-2-11:9090", "192-0-2-11", "192-0-2-11", "192.0.2.11:9090", 9090},
		{"hostNetwork: the new pod is not ready yet", []string{"8080: 192.0.2.11 rST", "9090: 192.0.2.11 rst"},
			"192.0.2.11", "192-0-2-11:8080", "192-0-2-11", "192-0-2-11", "192.0.2.11:8080", 8080},
		{"hostNetwork: the new pod waits for the old one's port", []string{"8080: 192.0.2.11 rST, 192.0.2.11 rst"}, "", "", "", "", "", 0},
		{"a pod drains, another one is ready", []string{"8080: 192.0.2.11 rST", "9090: 192.0.2.12 RSt"},
			"192.0.2.12", "192-0-2-12:9090", "192-0-2-12", "192-0-2-12", "192.0.2.12:9090", 9090},
		{"a drained pod's address is the next one's", []string{"80: 10.244.0.241 rST db-0, 10.244.0.241 RSt db-1"},
			"10.244.0.241", "db-1:80", "db-1", "db-1", "10.244.0.241:80", 80},
		{"so it is if the order is another", []string{"80: 10.244.0.241 RSt db-0, 10.244.0.241 rST db-1"},
			"10.244.0.241", "db-0:80", "db-0", "db-0", "10.244.0.241:80", 80},
		{"hostNetwork: a StatefulSet's two pods on a node", []string{"8080: 192.0.2.11 RSt db-0", "9090: 192.0.2.11 RSt db-1"},
			"192.0.2.11", "db-0:8080 db-1:9090", "db-0 db-1", "db-0 db-1", "192.0.2.11:8080 192.0.2.11:9090", 0},
		{"hostNetwork: one of them drains", []string{"8080: 192.0.2.11 rST db-0", "9090: 192.0.2.11 RSt db-1"},
			"192.0.2.11", "db-1:9090", "db-1", "db-1", "192.0.2.11:9090", 9090},
		{"hostNetwork: one of them has no hostname", []string{"8080: 192.0.2.11 RSt db-0", "9090: 192.0.2.11 RSt"},
			"192.0.2.11", "db-0:8080 db-0:9090", "db-0", "db-0", "192.0.2.11:8080 192.0.2.11:9090", 0},

		{"D40: pods with both families", []string{"80: 10.0.0.1 RSt - a, 10.0.0.2 RSt - b", "80: fd00::1 RSt - b, fd00::2 RSt - a"},
			"10.0.0.1 10.0.0.2 fd00::1 fd00::2", "10-0-0-1:80 10-0-0-2:80", "10-0-0-1 10-0-0-2", "10-0-0-1 10-0-0-2 10-0-0-2 10-0-0-1", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80 [fd00::2]:80", 80},
		{"D40: they have hostnames", []string{"80: 10.0.0.1 RSt db-0 a", "80: fd00::1 RSt - a"},
			"10.0.0.1 fd00::1", "db-0:80", "db-0", "db-0 db-0", "10.0.0.1:80 [fd00::1]:80", 80},
		{"D40: only the IPv6 entry is ready", []string{"80: 10.0.0.1 rSt - a", "80: fd00::1 RSt - a"},
			"fd00::1", "fd00--1:80", "fd00--1", "fd00--1", "[fd00::1]:80", 80},
		{"D40: other pods", []string{"80: 10.0.0.1 RSt - a", "80: fd00::1 RSt - b"},
			"10.0.0.1 fd00::1", "10-0-0-1:80 fd00--1:80", "10-0-0-1 fd00--1", "10-0-0-1 fd00--1", "10.0.0.1:80 [fd00::1]:80", 80},
		{"D40: nobody knows of pods", []string{"80: 10.0.0.1 RSt", "80: fd00::1 RSt"},
			"10.0.0.1 fd00::1", "10-0-0-1:80 fd00--1:80", "10-0-0-1 fd00--1", "10-0-0-1 fd00--1", "10.0.0.1:80 [fd00::1]:80", 80},
		{"D40: hostNetwork pods of both families on a node", []string{"80: 192.0.2.1 RSt - a", "81: 192.0.2.1 RSt - b", "80: 2001:db8::1 RSt - a", "81: 2001:db8::1 RSt - b"},
			"192.0.2.1 2001:db8::1", "192-0-2-1:80 192-0-2-1:81", "192-0-2-1", "192-0-2-1 192-0-2-1", "192.0.2.1:80 192.0.2.1:81 [2001:db8::1]:80 [2001:db8::1]:81", 0},
		{"D40: a port of one family alone", []string{"80: 10.0.0.1 RSt - a", "81: fd00::1 RSt - a"},
			"10.0.0.1 fd00::1", "10-0-0-1:80 10-0-0-1:81", "10-0-0-1", "10-0-0-1 10-0-0-1", "10.0.0.1:80 [fd00::1]:81", 0},
	} {
		for range 4 { // C5: in whichever order the slices come
			all := slicesAs(t, tc.slices...)
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			b := newBench(t, config.Options{Zones: []string{"minilb."}, ReverseZones: []string{"in-addr.arpa.", "ip6.arpa."}, HTTPS: true})
			b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 443}))
			for _, s := range all {
				b.watcher.EndpointSlices("").Update(s)
			}
			b.sync()
			u, _ := endpoint.Of(all)
			var probed []string
			targets, _ := targetsOf(b.tr.options, &u)
			for _, target := range targets {
				probed = append(probed, target.Addr.String())
			}
			binding := uint16(0)
			if _, node := b.index.Lookup("minilb.", "web.shop.minilb."); node.Addrs.Load().HTTPS != nil {
				binding = node.Addrs.Load().HTTPS.Port
			}
			for _, got := range []struct{ what, got, want string }{
				{"addresses", b.addrs("web.shop.minilb."), tc.addrs}, {"SRV", b.srv("_https._tcp.web.shop.minilb."), tc.srv}, {"names", b.endpointNames("web.shop.minilb."), tc.names},
				{"PTR", b.pointers(tc.addrs), tc.pointers}, {"probes", strings.Join(probed, " "), tc.probe}, {"HTTPS", fmt.Sprint(binding), fmt.Sprint(tc.https)},
			} {
				if got.got != got.want {
					t.Errorf("%s: %s: got %q, want %q", tc.what, got.what, got.got, got.want)
				}
			}
		}
	}
}

// srv returns the labels and ports that a named port's name leads to.
func (b *bench) srv(name string) string {
	result, node := b.index.Lookup("minilb.", name)
	if result != records.Found {
		return "-"
	}
	var all []string
	for _, target := range node.Targets("web.shop.minilb.", 0) {
		all = append(all, fmt.Sprint(target.Label(), ":", target.Number))
		if len(node.ServedBy.At(target.Label())) == 0 {
			b.t.Errorf("%s leads to %s, which has no address", name, target.Name)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// endpointNames returns the labels of the endpoints that are there below a Service's name.
func (b *bench) endpointNames(service string) string {
	var all []string
	for r := range b.index.Entries("minilb.") {
		if label, found := strings.CutSuffix(r.Name, "."+service); found && r.Node.Addrs != nil {
			all = append(all, label)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// pointers returns the labels that the reverse names of addresses lead to.
func (b *bench) pointers(addrs string) string {
	var all []string
	for _, addr := range strings.Fields(addrs) {
		for _, zone := range []string{"in-addr.arpa.", "ip6.arpa."} {
			for r := range b.index.Entries(zone) {
				if prefix, ok := records.ReversePrefix(r.Name); ok && prefix.Addr() == netip.MustParseAddr(addr) {
					for _, name := range r.Node.Pointers {
						label, _, _ := strings.Cut(name, ".")
						all = append(all, label)
					}
				}
			}
		}
	}
	return strings.Join(all, " ")
}

// Of entries with one address, an DryRun shows which one is answered with (E3).
func TestInspectedEntries(t *testing.T) {
	random := seeded(t)
	for range 4 {
		all := slicesAs(t, "8080: 192.0.2.11 rST db-0", "9090: 192.0.2.11 RSt db-1", "7070: 192.0.2.11 rst")
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		b := newBench(t, config.Options{})
		b.services().Update(testService("shop/web", 1, ""))
		for _, s := range all {
			b.watcher.EndpointSlices("").Update(s)
		}
		b.sync()
		web, _ := (&View{translator: b.tr}).Service("shop", "web")
		addr := netip.MustParseAddr("192.0.2.11")
		want := []Endpoint{
			{Service: "shop/web", Addr: addr, Hostname: "db-1", State: object.StateReady, Answered: true},
			{Service: "shop/web", Addr: addr, State: object.StateNotReady},
			{Service: "shop/web", Addr: addr, Hostname: "db-0", State: object.StateServing},
		}
		if !slices.Equal(web.Endpoints, want) {
			t.Errorf("got %+v, want %+v", web.Endpoints, want)
		}
	}
}

// D20b, D40: without IPv4, a pod is named for its IPv6 address.
func TestLabelsOfFamily(t *testing.T) {
	all := slicesAs(t, "80: 10.0.0.1 RSt - a", "80: fd00::1 RSt - a")
	for want, o := range map[string]config.Options{"10-0-0-1:80": {NoIPv6: true}, "fd00--1:80": {NoIPv4: true}} {
		u, _ := endpoint.Of(all)
		a := endpoint.Addresses(&o, &u, object.ServicePorts{})
		index := records.NewIndex([]string{"minilb."})
		index.Update(nil, []records.Entry{{Name: "web.shop.minilb.", Node: &records.Node{Addrs: records.NewAddressSet(a), NamesBelow: true}}}, false)
		if got := (&bench{t: t, index: index}).srv("_https._tcp.web.shop.minilb."); got != want {
			t.Errorf("%+v: got %s, want %s", o, got, want)
		}
	}
}

// D16: a named port of the Service exists whether its slices have it, or there are any, or not, and
// follows the Service.
func TestPortsOfService(t *testing.T) {
	b := newBench(t, config.Options{})
	ports := []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 81}, {Name: strings.Repeat("p", 63), Port: 82}}
	b.services().Update(httpsService(nil, ports...))
	b.sync()
	check := func(when string, want map[string]string) {
		t.Helper()
		for name, want := range want {
			if got := b.srv(name + ".web.shop.minilb."); got != want {
				t.Errorf("%s: %s: got %q, want %q", when, name, got, want)
			}
		}
	}
	check("without slices", map[string]string{"_http._tcp": "", "_dns._udp": "", "_dns._tcp": "-", "_._tcp": "-", "_" + strings.Repeat("p", 63) + "._tcp": "-", "_https._tcp": "-"})
	b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "http", 8080))
	check("one slice", map[string]string{"_http._tcp": "10-0-0-1:8080", "_dns._udp": ""})
	serial := b.index.Serial("minilb.")
	b.services().Update(httpsService(nil, ports[0]))
	check("another port", map[string]string{"_http._tcp": "10-0-0-1:8080", "_dns._udp": "-"})
	if b.index.Serial("minilb.") == serial {
		t.Error("D24: the serial stays")
	}
}
