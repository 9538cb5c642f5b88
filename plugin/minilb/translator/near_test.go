package translator

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// near are options with a rule for zone "a" and one for the nodes "n1" and "n2".
func near(more config.Options) config.Options {
	more.Near = []config.NearRule{
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}, Zones: []string{"a"}},
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.2.0/24")}, Nodes: []string{"n1", "n2"}},
	}
	return more
}

// inZones is onNodes with a zone behind each node: "n1/a".
func inZones(service, name string, endpoints ...string) *discoveryv1.EndpointSlice {
	slice := onNodes(service, name, endpoints...)
	for i := range slice.Endpoints {
		node, zone, _ := strings.Cut(*slice.Endpoints[i].NodeName, "/")
		slice.Endpoints[i].NodeName, slice.Endpoints[i].Zone = &node, &zone
	}
	return slice
}

func sticky(service *corev1.Service) *corev1.Service {
	service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	return service
}

// gets returns the addresses of a name that clients of a rule get, -1 for others, sorted.
func (b *bench) gets(name string, rule int) string {
	_, node := b.index.Lookup(b.index.Zone(name), name)
	if node == nil {
		return "-"
	}
	var all []string
	for _, v6 := range []bool{false, true} {
		addrs, _ := node.Addrs.Load().For(&records.Client{Network: netip.MustParsePrefix("192.168.1.7/32"), Rule: rule}, v6, 0)
		slices.SortFunc(addrs, netip.Addr.Compare)
		for _, addr := range addrs {
			all = append(all, addr.String())
		}
	}
	return strings.Join(all, " ")
}

// L5: the usable endpoints of the zones or nodes, for each family by itself, else all; what a host leads to counts as a whole.
func TestNear(t *testing.T) {
	for _, tc := range []struct {
		name            string
		endpoints       [2]string // of two Services, separated by commas
		zone, node, all string    // what clients of the rules and others get of the host of both
	}{
		{"some", [2]string{"10.0.0.1 RSt n1/a, 10.0.0.2 RSt n2/b, 10.0.0.3 RSt n3/a"}, "10.0.0.1 10.0.0.3", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2 10.0.0.3"},
		{"none", [2]string{"10.0.0.1 RSt n3/b, 10.0.0.2 RSt n4/"}, "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2"},
		{"all", [2]string{"10.0.0.1 RSt n1/a, 10.0.0.2 RSt n2/a"}, "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2"},
		{"near is not usable", [2]string{"10.0.0.1 rst n1/a, 10.0.0.2 RSt n3/b"}, "10.0.0.2", "10.0.0.2", "10.0.0.2"},
		{"near terminates (E3)", [2]string{"10.0.0.1 rST n1/a, 10.0.0.2 RSt n3/b"}, "10.0.0.2", "10.0.0.2", "10.0.0.2"},
		{"of one of two Services", [2]string{"10.0.0.1 RSt n1/a", "10.0.0.2 RSt n3/b"}, "10.0.0.1", "10.0.0.1", "10.0.0.1 10.0.0.2"},
		{"of both", [2]string{"10.0.0.1 RSt n1/a, 10.0.0.9 RSt n3/b", "10.0.0.2 RSt n3/a"}, "10.0.0.1 10.0.0.2", "10.0.0.1", "10.0.0.1 10.0.0.2 10.0.0.9"},
		{"another family", [2]string{"10.0.0.1 RSt n1/a, 10.0.0.2 RSt n3/b", "fd00::1 RSt n3/b"}, "10.0.0.1 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 10.0.0.2 fd00::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, near(config.Options{}))
			for i, endpoints := range tc.endpoints {
				if service := fmt.Sprintf("shop/s%d", i); endpoints != "" {
					b.services().Add(testService(service, 1, "a.org"))
					b.watcher.EndpointSlices("").Add(inZones(service, fmt.Sprintf("s%d-1", i), strings.Split(endpoints, ", ")...))
				}
			}
			b.sync()
			for rule, want := range []string{tc.zone, tc.node} {
				if got := b.gets("a.org.", rule); got != want {
					t.Errorf("clients of rule %d get %s, want %s", rule, got, want)
				}
			}
			if got := b.gets("a.org.", -1); got != tc.all {
				t.Errorf("others get %s, want %s", got, tc.all)
			}
		})
	}
}

// L5: what probes leave out is not near.
func TestNearAndSuspect(t *testing.T) {
	p := newProbed(t, near(config.Options{}))
	p.services().Add(testService("shop/a", 1, ""))
	ports := []object.Port{{Proto: "_tcp", Service: "_http", Number: p.port}}
	p.tr.onSlice(nil, p.slice("shop/a", "a-1", ports, "127.0.0.2 n1", "127.0.0.3 n3"))
	good := p.listen("127.0.0.2")
	p.listen("127.0.0.3")
	p.sync()
	p.eventually("a.shop.minilb.", "127.0.0.2 127.0.0.3")
	if got := p.gets("a.shop.minilb.", 1); got != "127.0.0.2" {
		t.Errorf("got %s, want what is near", got)
	}
	good.Close()
	p.eventually("a.shop.minilb.", "127.0.0.3")
	if got := p.gets("a.shop.minilb.", 1); got != "127.0.0.3" {
		t.Errorf("got %s, want the other", got)
	}
}

// L5: nobody gets nothing while some endpoint is usable, whatever comes and goes, with excluded nodes and without.
func TestNearNeverEmpty(t *testing.T) {
	r := seeded(t)
	for _, options := range []config.Options{near(config.Options{}), near(excluding(t)), near(config.Options{Affinity: true, NoIPv6: true})} {
		b := newBench(t, options)
		for _, service := range []*corev1.Service{testService("shop/a", 1, "a.org"), sticky(testService("shop/b", 1, "a.org"))} {
			b.services().Add(service)
		}
		if options.ExcludeNodes != nil {
			b.watcher.Nodes(b.tr.options.ExcludeNodes).Add(testNode("n1", "vps"))
		}
		b.sync()
		for round := range 300 {
			service, family := []string{"a", "b"}[r.IntN(2)], []string{"10.0.0.", "fd00::"}[r.IntN(2)]
			slice := inZones("shop/"+service, service+family[:2], randomEndpoints(r, family)...)
			b.watcher.EndpointSlices("").Update(slice)
			if r.IntN(10) == 0 {
				b.publish()
			}
			for _, name := range []string{"a.shop.minilb.", "b.shop.minilb.", "a.org."} {
				_, node := b.index.Lookup(b.index.Zone(name), name)
				for rule := -1; rule < 2; rule++ {
					for f, all := range [2][]netip.Addr{node.Addrs.Load().V4, node.Addrs.Load().V6} {
						got, _ := node.Addrs.Load().For(&records.Client{Network: netip.MustParsePrefix("192.168.1.7/32"), Rule: rule}, f == 1, 1+r.IntN(4))
						if len(all) > 0 && len(got) == 0 {
							t.Fatalf("round %d: of %v clients of rule %d get nothing from %s", round, all, rule, name)
						}
						for _, addr := range got {
							if !slices.Contains(all, addr) {
								t.Fatalf("round %d: clients of rule %d get %s from %s, which has %v", round, rule, addr, name, all)
							}
						}
					}
				}
			}
		}
	}
}

func randomEndpoints(r *rand.Rand, family string) (endpoints []string) {
	for i := range 6 {
		if r.IntN(2) == 0 {
			endpoints = append(endpoints, fmt.Sprintf("%s%d %s n%d/%s", family, i+1, []string{"RSt", "rST", "rst"}[r.IntN(3)], 1+r.IntN(4), []string{"a", "b", ""}[r.IntN(3)]))
		}
	}
	return endpoints
}

// L4: the property and the Service's sessionAffinity give an order, which changes with either, and so within the event.
func TestAffinity(t *testing.T) {
	affine := func(b *bench, name string) bool {
		_, node := b.index.Lookup(b.index.Zone(name), name)
		return node.Addrs.Load().Affinity()
	}
	for _, property := range []bool{false, true} {
		b := newBench(t, config.Options{Affinity: property})
		b.services().Add(sticky(testService("shop/a", 1, "a.org, both.org")))
		b.services().Add(testService("shop/b", 1, "both.org"))
		for _, service := range []string{"a", "b"} {
			b.watcher.EndpointSlices("").Add(onNodes("shop/"+service, service+"-1", "10.0.0.1 RSt n1", "10.0.0.2 RSt n2"))
		}
		b.sync()
		for name, want := range map[string]bool{"a.shop.minilb.": true, "a.org.": true, "b.shop.minilb.": false, "both.org.": false} {
			if got := affine(b, name); got != (want && property) {
				t.Errorf("property %v, %s: got %v", property, name, got)
			}
		}
		b.services().Update(sticky(testService("shop/b", 1, "both.org")))
		if affine(b, "b.shop.minilb.") != property || affine(b, "both.org.") != property {
			t.Errorf("property %v: the Service does not come to have affinity", property)
		}
		b.services().Update(testService("shop/a", 1, "a.org, both.org"))
		if affine(b, "a.shop.minilb.") || affine(b, "both.org.") {
			t.Errorf("property %v: the Service keeps its affinity", property)
		}
	}
}

// L4, L5, D78: a process that starts from a snapshot gives clients what the one before did.
func TestByClientRestored(t *testing.T) {
	api := newFakeAPI()
	slice := inZones("shop/web", "web-1", "10.0.0.1 RSt n1/a", "10.0.0.2 RSt n2/b", "10.0.0.3 RSt n3/a", "10.0.0.4 RSt n4/b")
	api.objects = map[string][]runtime.Object{"services": {sticky(testService("shop/web", 1, ""))}, "endpointslices": {slice}}
	options := near(config.Options{Affinity: true})
	order := func(b *bench, rule int) string {
		_, node := b.index.Lookup("minilb.", "web.shop.minilb.")
		addrs, _ := node.Addrs.Load().For(&records.Client{Network: netip.MustParsePrefix("192.168.1.7/32"), Rule: rule}, false, 0)
		return fmt.Sprint(addrs)
	}
	var want [3]string
	synctest.Test(t, func(t *testing.T) {
		b, stop := runBench(t, api, options)
		defer stop()
		synctest.Wait()
		for rule := range want {
			want[rule] = order(b, rule-1)
		}
	})
	path := keptState(t, api, options)
	api.refuse("nodes", errRefused)
	restoring(t, api, options, path, func(t *testing.T, b *bench) {
		for rule := range want {
			if got := order(b, rule-1); got != want[rule] {
				t.Errorf("clients of rule %d get %s, and got %s", rule-1, got, want[rule])
			}
		}
	})
}
