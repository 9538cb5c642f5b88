package translator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// The time from a change in the cluster to its answer is observed for changes alone, not for
// what was there before.
func TestTranslatorObserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes
		b := newBench(t, config.Options{})
		table := b.watcher.EndpointSlices("")
		triggered := func(s *object.EndpointSlice, ago time.Duration) *object.EndpointSlice {
			s.Triggered = time.Now().Add(-ago).UnixNano()
			return s
		}
		b.services().Update(testService("shop/web", 1, ""))
		table.Update(triggered(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"), time.Hour))
		b.sync()
		if len(b.observed) != 0 {
			t.Errorf("the first list was observed: %v", b.observed)
		}
		table.Update(triggered(serviceSlice("shop/web", "web-1", "10.0.0.2 RSt"), time.Second))
		table.Update(triggered(serviceSlice("shop/web", "web-2", "10.0.0.3 RSt"), time.Second))
		if want := []time.Duration{time.Second, time.Second}; !slices.Equal(b.observed, want) {
			t.Errorf("got %v, want %v", b.observed, want)
		}
		again := serviceSlice("shop/web", "web-1", "10.0.0.4 RSt")
		before, _ := table.Get(again.Key())
		again.Triggered = before.Triggered
		table.Update(again)                                                                     // by something that is no change in the cluster
		table.Update(serviceSlice("shop/web", "web-2", "10.0.0.5 RSt"))                         // by hand
		table.Update(triggered(serviceSlice("shop/web", "web-2", "10.0.0.5 RSt"), time.Second)) // of what is not answered
		table.Update(triggered(serviceSlice("shop/db", "db-1", "10.0.0.6 RSt"), time.Second))   // of what is not ours
		table.Delete(serviceSlice("shop/web", "web-2"))
		if len(b.observed) != 2 {
			t.Errorf("got %v, want two", b.observed)
		}
	})
}

// Each problem is logged once for as long as it lasts, with its object, and one object's
// problems do not drown another's.
func TestTranslatorReports(t *testing.T) {
	b := newBench(t, config.Options{})
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("bad_%d", i))
	}
	b.services().Update(testService("shop/many", 1, strings.Join(many, ",")))
	b.services().Update(testService("shop/web", 1, "a_b.ex.org, ok.ex.org"))
	b.watcher.Ingresses("").Update(testIngress("shop/i", "x.ex.org"))
	b.watcher.EndpointSlices("").Update(testSlice("web-1", "FQDN", "web.example.org RSt"))
	others := testSlice("db-1", "FQDN", "db.example.org RSt")
	others.Service = "db"
	b.watcher.EndpointSlices("").Update(others) // not ours, and not our problem
	b.pending()
	b.services().Set(informer.Listed)
	b.watcher.LabelledServices("").Set(informer.Listed)
	b.watcher.EndpointSlices("").Set(informer.Listed)
	b.watcher.Ingresses("").Set(informer.Listed)
	lines := b.publish()
	for prefix, want := range map[string]int{
		"W Service shop/many: host": 5, "W Service shop/many: 95 more": 1, "W Service shop/web: host \"a_b.ex.org\"": 1,
		"I Ingress shop/i: host \"x.ex.org\" is not served: its status has no address yet": 1, "W EndpointSlice shop/web-1: its address type \"FQDN\"": 1,
	} {
		n := 0
		for _, line := range lines {
			if strings.HasPrefix(line, prefix) {
				n++
			}
		}
		if n != want {
			t.Errorf("got %d lines that begin with %q, want %d, in\n%s", n, prefix, want, strings.Join(lines, "\n"))
		}
	}
	b.want("ok.ex.org.", "")
	if got, want := b.tr.Stats().Rejected, map[string]int{"invalid": 102, "dead": 1}; !maps.Equal(got, want) {
		t.Errorf("got refusals %v, want %v", got, want)
	}
	if lines := b.publish(); len(lines) != 0 {
		t.Errorf("the same problems are logged again: %q", lines)
	}
	b.services().Update(testService("shop/web", 1, "ok.ex.org"))
	b.publish()
	b.services().Update(testService("shop/web", 1, "a_b.ex.org, ok.ex.org"))
	if lines := b.publish(); len(lines) != 1 {
		t.Errorf("a problem that came back is logged as %q, want one line", lines)
	}
	b.pending()
	for _, family := range []discoveryv1.AddressType{"IPv4", "FQDN"} {
		b.watcher.EndpointSlices("").Update(testSlice("web-1", family, "10.0.0.1 RSt"))
		if !b.pending() {
			t.Errorf("a slice that becomes %s is not to be published", family)
		}
		lines := b.publish()
		if got, want := b.tr.Stats().Rejected["invalid"] == 102, family == "FQDN"; got != want || len(lines) > 1 || (len(lines) == 1) != want {
			t.Errorf("a slice that becomes %s: got refusals %v and log %q", family, b.tr.Stats().Rejected, lines)
		}
	}
}

// D24: the serial of a zone moves with addresses that some name in it is answered with, and with no others.
func TestTranslatorSerial(t *testing.T) {
	for _, tc := range []struct {
		what          string
		services, led bool
		want          []string // zones that move
	}{
		{"a name of its own", true, false, []string{"minilb.", "lan."}},
		{"a host that leads there", false, true, []string{""}},
		{"both", true, true, []string{"minilb.", "lan.", ""}},
		{"neither", false, false, nil},
	} {
		b := newBench(t, config.Options{Zones: []string{"minilb.", "lan."}})
		b.tr.options.Services = tc.services
		b.services().Update(testService("shop/web", 1, ""))
		if tc.led {
			i := testIngress("shop/i", "a.ex.org")
			i.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
			b.watcher.Ingresses("").Update(i)
		}
		b.sync()
		zones, before := []string{"minilb.", "lan.", ""}, map[string]uint32{}
		for _, zone := range zones {
			before[zone] = b.index.Serial(zone)
		}
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
		var got []string
		for _, zone := range zones {
			if b.index.Serial(zone) > before[zone] {
				got = append(got, zone)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: the serials of zones %q move, want %q", tc.what, got, tc.want)
		}
	}
}

// One object's many hosts cost no more than they may, and no other's.
func TestTranslatorLimits(t *testing.T) {
	b := newBench(t, config.Options{})
	var hosts []string
	for i := range 50000 {
		hosts = append(hosts, fmt.Sprintf("h%d.ex.org", i))
	}
	i := testIngress("evil/i", hosts...)
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
	b.watcher.Ingresses("").Update(i)
	b.services().Update(testService("evil/s", 1, strings.Join(hosts, ",")))
	b.services().Update(testService("shop/web", 1, "web.ex.org"))
	b.sync()
	if names := b.tr.Stats().Names; names["ingress"]+names["service"] != object.MaxHosts+3 {
		t.Errorf("got names %v, want 1024 of the 50000 hosts, a host and two Services", names)
	}
	if got := b.tr.Stats().Rejected["invalid"]; got != 2 {
		t.Errorf("%d refusals, want one for what is too much of each object", got)
	}
	// A host that two objects share has one set of addresses with all that lead to the same.
	if len(b.tr.services.state.unions) > 2 || len(b.tr.services.state.unions[cache.NewObjectName("evil", "s")]) != 1 {
		t.Errorf("got %d address sets for hosts that lead to the same", len(b.tr.services.state.unions[cache.NewObjectName("evil", "s")]))
	}
	b.want("web.ex.org.", "")
}
