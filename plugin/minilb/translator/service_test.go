package translator

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// M3, D16: only a name with two labels below a zone can be a Service's.
func TestServiceNamed(t *testing.T) {
	o := &config.Options{Zones: []string{"minilb.", "sub.minilb."}}
	for host, want := range map[string]string{
		"web.shop.minilb.": "shop/web true", "web.shop.sub.minilb.": "shop/web true", "shop.sub.minilb.": "sub/shop true",
		"minilb.": "/ false", "shop.minilb.": "/ false", "a.web.shop.minilb.": "/ false", "web.shop.ex.org.": "/ false",
	} {
		service, ok := o.ServiceAt(host)
		if got := fmt.Sprintf("%s/%s %v", service.Namespace, service.Name, ok); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

// G43: a union has no suspect addresses of a family in which it has others, and all of them if it has none.
func TestUnionDoubtful(t *testing.T) {
	const v4, v6 = 1, 2
	for _, tc := range []struct {
		a, b  uint32 // families of the Services that are doubtful
		fixed string
		want  string
	}{
		{0, 0, "", "[10.0.0.1 10.0.0.2] [fd00::1 fd00::2]"},
		{v4, 0, "", "[10.0.0.2] [fd00::1 fd00::2]"},
		{v6, 0, "", "[10.0.0.1 10.0.0.2] [fd00::2]"},
		{v4, v6, "", "[10.0.0.2] [fd00::1]"},
		{v4 | v6, 0, "", "[10.0.0.2] [fd00::2]"},
		{v4, v4, "", "[10.0.0.1 10.0.0.2] [fd00::1 fd00::2]"},
		{v6, v6, "", "[10.0.0.1 10.0.0.2] [fd00::1 fd00::2]"},
		{v4 | v6, v4 | v6, "10.0.0.9", "[10.0.0.9] [fd00::1 fd00::2]"},
		{v4 | v6, v4 | v6, "fd00::9", "[10.0.0.1 10.0.0.2] [fd00::9]"},
	} {
		exposed := map[cache.ObjectName]*exposedService{}
		u := &union{}
		for i, doubtful := range []uint32{tc.a, tc.b} {
			name := cache.NewObjectName("shop", fmt.Sprint(i+1))
			e := &exposedService{addrs: records.NewAddressSet(&records.Addresses{
				V4: []netip.Addr{netip.MustParseAddr("10.0.0." + name.Name)}, V6: []netip.Addr{netip.MustParseAddr("fd00::" + name.Name)},
			})}
			var now standing
			now.add(endpoint.Families{doubtful&v4 != 0, doubtful&v6 != 0}, allSuspect)
			e.standing.Store(&now)
			e.share.Store(&object.Share{})
			exposed[name] = e
			u.services = append(u.services, name)
		}
		if tc.fixed != "" {
			u.fixed = []netip.Addr{netip.MustParseAddr(tc.fixed)}
		}
		merged := u.merge(&config.Options{}, exposed)
		if got := fmt.Sprint(merged.V4, merged.V6); got != tc.want {
			t.Errorf("families %d and %d are doubtful, and there is %q: got %s, want %s", tc.a, tc.b, tc.fixed, got, tc.want)
		}
	}
}

// moved returns the zones of which some change moves the serials.
func (b *bench) moved(change func()) []string {
	zones := append(slices.Clone(b.tr.options.Zones), "")
	before := map[string]uint32{}
	for _, zone := range zones {
		before[zone] = b.index.Serial(zone)
	}
	change()
	return slices.DeleteFunc(zones, func(zone string) bool { return b.index.Serial(zone) == before[zone] })
}

// D24: a change of a Service's addresses moves the serials of the zones in which an answer changes,
// be it that of a host that leads to the Service and to other addresses, and no others.
func TestRefreshZones(t *testing.T) {
	web := cache.NewObjectName("shop", "web")
	more := func(b *bench, endpoint string) {
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-2", endpoint))
	}
	for _, tc := range []struct {
		what         string
		names        bool // the Service has its names
		alone, union bool // hosts lead to it, and to it and 10.0.0.2
		change       func(*bench)
		want         []string
	}{
		{"a new address", false, false, true, func(b *bench) { more(b, "10.0.0.3 RSt") }, []string{"lan.", ""}},
		{"an address that the union has", false, false, true, func(b *bench) { more(b, "10.0.0.2 RSt") }, nil},
		{"an address that the union has, beside names", true, false, true, func(b *bench) { more(b, "10.0.0.2 RSt") }, []string{"minilb.", "lan."}},
		{"an address that the union has, beside a host", false, true, true, func(b *bench) { more(b, "10.0.0.2 RSt") }, []string{""}},
		{"a port", true, true, true, func(b *bench) {
			s := serviceSlice("shop/web", "web-1", "10.0.0.1 RSt")
			s.Ports = []object.Port{{Proto: "_tcp", Service: "_http", Number: 80}}
			b.watcher.EndpointSlices("").Update(s)
		}, []string{"minilb.", "lan."}},
		{"another Service's address", true, true, true, func(b *bench) {
			b.watcher.EndpointSlices("").Update(serviceSlice("shop/other", "other-1", "10.0.0.3 RSt"))
		}, nil},
		{"a Service without names yet", true, true, true, func(b *bench) {
			b.services().Update(testService("shop/new", 1, ""))
			b.watcher.EndpointSlices("").Update(serviceSlice("shop/new", "new-1", "10.0.0.3 RSt"))
		}, nil},
		{"and with them", true, true, true, func(b *bench) {
			b.services().Update(testService("shop/new", 1, ""))
			b.watcher.EndpointSlices("").Update(serviceSlice("shop/new", "new-1", "10.0.0.3 RSt"))
			b.publish()
		}, []string{"minilb.", "lan."}},
		{"all are suspect", true, true, true, func(b *bench) {
			e := b.tr.services.state.exposed[web]
			job := &mergeJob{service: web, e: e, addrs: e.addrs.Load(), states: e.states, standing: standing{allSuspect}}
			for _, want := range []bool{true, false} {
				if got := b.tr.services.state.refresh(job); got != want {
					t.Errorf("all are suspect: changed: %v, want %v", got, want)
				}
			}
			b.want("both.ex.org.", "10.0.0.2")
		}, []string{"lan.", ""}},
	} {
		b := newBench(t, config.Options{Zones: []string{"minilb.", "lan."}})
		b.tr.options.Services = tc.names
		b.services().Update(testService("shop/web", 1, ""))
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
		if tc.alone {
			i := testIngress("shop/alone", "a.ex.org")
			i.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
			b.watcher.Ingresses("").Update(i)
		}
		if tc.union { // in the zone lan and outside
			i := testIngress("shop/union", "both.ex.org", "x.both.shop.lan")
			i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.2"}, {Hostname: "web.shop.minilb"}}
			b.watcher.Ingresses("").Update(i)
		}
		b.sync()
		if got := b.moved(func() { tc.change(b) }); !slices.Equal(got, tc.want) {
			t.Errorf("%s: the serials of zones %q move, want %q", tc.what, got, tc.want)
		}
	}
}
