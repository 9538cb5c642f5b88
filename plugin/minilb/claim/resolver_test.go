package claim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// What the claims of a history are made of: little, so that they meet.
var (
	someNamespaces = []string{"n", "m", "o"}
	someHosts      = []string{
		"a.ex.org.", "b.ex.org.", "c.ex.org.", "*.ex.org.", "*.b.ex.org.", "x.b.ex.org.", "x.y.b.ex.org.", "ex.org.", "z.y.x.ex.org.", "*.org.", "wpad.ex.org.",
		"home.minilb.", "n.minilb.", "kube-system.minilb.", "minilb.", "h.n.minilb.", "i.n.minilb.", "*.n.minilb.", "s.n.minilb.", "x.h.n.minilb.", "*.h.n.minilb.", "q.m.minilb.", "*.m.minilb.", "r.m.minilb.", "x.r.m.minilb.",
	}
	someTargets = append([]string{"10.0.0.1", "10.0.0.2", "svc:n/s", "svc:m/t", "lb.example.com.", "y.ex.org.", "q.h.n.minilb.", "x.y.r.m.minilb.", "j.n.minilb."}, someHosts...)
)

// someServices may be exposed, pending (false) or not there.
type someServices struct {
	fakeServices
	namespaces map[string]bool
}

func (s *someServices) NamespaceExists(name string) bool { return s.namespaces[name] }

// drawClaims draws what an object claims.
func drawClaims(t *rapid.T, of object.KindName) []*Claim {
	of.Kind = strings.TrimSuffix(of.Kind, "?")
	hosts := rapid.SliceOfNDistinct(rapid.SampledFrom(someHosts), 1, 3, rapid.ID).Draw(t, "hosts")
	targets := rapid.SliceOfN(rapid.SampledFrom(someTargets), 0, 3).Filter(func(all []string) bool {
		return !slices.ContainsFunc(all, func(target string) bool { return strings.HasPrefix(target, "*") })
	}).Draw(t, "targets")
	c := testClaim(fmt.Sprintf("%s %s/%s %d", of.Kind, of.Namespace, of.Name, rapid.Int64Range(1, 3).Draw(t, "created")), strings.Join(hosts, " "), targets...)
	if c.NoTLS = rapid.Bool().Draw(t, "no TLS"); of.Kind == object.KindHTTPRoute {
		c.Gateways = []object.Ref{{Kind: object.KindGateway, Name: rapid.SampledFrom([]string{"g", "h"}).Draw(t, "gateway")}}
	}
	if len(targets) == 0 {
		c.Missing = "it has none"
	}
	return []*Claim{c}
}

// described returns all that a Resolver has found out.
func described(r *Resolver) []string {
	var lines []string
	for host, out := range resolutions(r) {
		lines = append(lines, fmt.Sprintf("%s of %s: %s, no TLS: %v", host, out.Winner, out.render(), out.NoTLS))
		for _, e := range r.Counting(host) {
			lines = append(lines, fmt.Sprintf("%s counts on %s", e.Ref.String(), host))
		}
	}
	for _, p := range r.Problems() {
		lines = append(lines, fmt.Sprintf("%s %s %q: %s", p.Ref, p.Host, p.Reason, p.Text))
	}
	for name, withheld := range r.blocks.current {
		lines = append(lines, fmt.Sprintf("%s blocks, withheld: %v", name, withheld))
	}
	slices.Sort(lines)
	return lines
}

// history is what became of some claims and Services.
type history struct {
	options  *config.Options
	services *someServices
	claims   map[object.KindName][]*Claim
	r        *Resolver
}

func newHistory(t *rapid.T) *history {
	h := &history{
		options:  &config.Options{Zones: []string{"minilb.", "n.minilb."}[:rapid.IntRange(1, 2).Draw(t, "zones")], Class: "minilb", Services: true},
		services: &someServices{fakeServices{}, map[string]bool{}},
		claims:   map[object.KindName][]*Claim{},
	}
	if rapid.Bool().Draw(t, "claim rules") {
		h.options.Claims = []config.ClaimRule{{Suffix: "."}, {Suffix: "b.ex.org.", Namespaces: []string{"m"}}, {Suffix: "x.ex.org.", Namespaces: []string{"n"}}}
	}
	h.r = NewResolver(h.options, h.services)
	return h
}

// step changes something.
func (h *history) step(t *rapid.T) {
	service := cache.NewObjectName(rapid.SampledFrom([]string{"n", "m"}).Draw(t, "namespace"), rapid.SampledFrom([]string{"s", "t", "q", "h"}).Draw(t, "service"))
	switch what := rapid.IntRange(0, 11).Draw(t, "what"); what {
	case 0:
		delete(h.services.fakeServices, service)
		h.r.ServiceChanged(service)
	case 1:
		h.services.fakeServices[service] = rapid.Bool().Draw(t, "populated")
		h.r.ServiceChanged(service)
	case 2:
		h.r.SetPartial(rapid.Bool().Draw(t, "partial"))
	case 3:
		name := rapid.SampledFrom([]string{"home", "kube-system", "n"}).Draw(t, "Namespace")
		h.services.namespaces[name] = !h.services.namespaces[name]
		h.r.NamespaceChanged(name)
	default:
		of := object.KindName{
			Kind:      rapid.SampledFrom([]string{"Ingress", object.KindHTTPRoute}).Draw(t, "kind"),
			Namespace: rapid.SampledFrom(someNamespaces).Draw(t, "of namespace"), Name: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name"),
		}
		if what == 4 {
			delete(h.claims, of)
		} else {
			h.claims[of] = drawClaims(t, of)
		}
		h.r.Set(of, h.claims[of]...)
	}
}

// fresh returns a Resolver that has seen nothing before.
func (h *history) fresh() *Resolver {
	r := NewResolver(h.options, h.services)
	r.SetPartial(h.r.partial)
	for of, claims := range h.claims {
		r.Set(of, claims...)
	}
	r.Resolve()
	return r
}

// C5: whatever came before, what is found out is what a Resolver finds out that sees the claims for the first time, and
// the changes are what has changed.
func TestResolverHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(rt)
		hosts, blocks, problems := map[string]string{}, map[string]bool{}, map[string]int{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			h.step(rt)
			if rapid.IntRange(0, 2).Draw(rt, "more") == 0 {
				continue // changes that coalesce
			}
			changes := h.r.Resolve()
			fresh := h.fresh()
			if got, want := described(h.r), described(fresh); !slices.Equal(got, want) {
				rt.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for _, host := range changes.Hosts {
				delete(hosts, host)
				if out, found := h.r.Resolution(host); found {
					hosts[host] = out.render()
				}
				delete(blocks, host)
				if withheld, found := h.r.Block(host); found {
					blocks[host] = withheld
				}
			}
			for host, out := range resolutions(h.r) {
				if hosts[host] != out.render() {
					rt.Fatalf("%s leads to %q, and by the changes to %q", host, out.render(), hosts[host])
				}
			}
			if len(resolutions(h.r)) != len(hosts) || !maps.Equal(blocks, h.r.blocks.current) {
				rt.Fatalf("by the changes there are %v and blocks %v, want %v", hosts, blocks, h.r.blocks.current)
			}
			for _, p := range changes.Come {
				problems[p.Ref.String()+p.Text]++
			}
			for _, p := range changes.Gone {
				problems[p.Ref.String()+p.Text]--
			}
			maps.DeleteFunc(problems, func(_ string, n int) bool { return n == 0 })
			want := map[string]int{}
			for _, p := range h.r.Problems() {
				want[p.Ref.String()+p.Text]++
			}
			if !maps.Equal(problems, want) {
				rt.Fatalf("by the changes there are the problems %v, want %v", problems, want)
			}
			if got, want := h.r.kept(), fresh.kept(); got != want {
				rt.Fatalf("got %s things kept, want %s", got, want)
			}
		}
	})
}

// kept counts what a Resolver remembers.
func (r *Resolver) kept() string {
	return fmt.Sprint(len(r.objects), len(r.claimed), len(r.hosts), len(r.own), len(r.answers), len(r.names.hosts), len(r.leading), len(r.names.changed),
		len(r.targets), len(r.readers), len(r.dirtyTargets), len(r.blocks.wildcard), len(r.blocks.below.hosts), len(r.blocks.below.changed), len(r.blocks.children), len(r.blocks.withheld),
		len(r.changed), len(r.dirtyEntries), len(r.dirtyHosts))
}

// A change is a matter of the hosts that have to do with it, whatever there is beside.
func TestResolveConcerned(t *testing.T) {
	var claims []*Claim
	claim := func(name, hosts string, targets ...string) {
		claims = append(claims, testClaim("Ingress "+name+" 1", hosts, targets...))
	}
	for i := range 100 {
		claim(fmt.Sprintf("shop/direct%d", i), fmt.Sprintf("h%d.ex.org.", i), "svc:infra/gw")
		claim(fmt.Sprintf("shop/outside%d", i), fmt.Sprintf("o%d.ex.org.", i), "lb.example.com.")
		claim(fmt.Sprintf("shop/hub%d", i), fmt.Sprintf("i%d.ex.org.", i), "hub.ex.org.")
		claim(fmt.Sprintf("shop/wild%d", i), fmt.Sprintf("w%d.ex.org.", i), "any.wild.ex.org.")
		claim(fmt.Sprintf("shop/zone%d", i), fmt.Sprintf("z%d.shop.minilb.", i), "h1.ex.org.")
	}
	claim("shop/hub", "hub.ex.org.", "lb.example.com.")
	claim("shop/wildcard", "*.wild.ex.org.", "10.0.0.1")
	options := &config.Options{Zones: []string{"minilb."}}
	services := exposures(options, "infra/gw", "infra/other")
	r := resolve(options, claims, services)
	set := func(name, hosts string, targets ...string) func() {
		return func() {
			of := object.KindName{Kind: "Ingress", Namespace: "shop", Name: name}
			if hosts == "" {
				r.Set(of)
			} else {
				r.Set(of, testClaim("Ingress shop/"+name+" 1", hosts, targets...))
			}
		}
	}
	for _, step := range []struct {
		what        string
		do          func()
		least, most int
	}{
		{"another target", set("direct2", "h2.ex.org.", "10.0.0.1"), 1, 1},
		{"another host", set("direct2", "x.ex.org.", "10.0.0.1"), 2, 2},
		{"an alias", set("outside1", "o1.ex.org.", "lb2.example.com."), 1, 1},
		{"a new alias", set("new", "n.ex.org.", "lb.example.com."), 1, 1},
		{"one that leads to the hub", set("hub1", "i1.ex.org.", "hub.ex.org.", "10.0.0.1"), 1, 2},
		{"the hub", set("hub", "hub.ex.org.", "10.0.0.2"), 101, 101},
		{"the wildcard", set("wildcard", "*.wild.ex.org.", "10.0.0.2"), 101, 101},
		{"a closer name", set("any", "any.wild.ex.org.", "10.0.0.3"), 101, 101},
		{"a name beside it", set("some", "some.wild.ex.org.", "10.0.0.3"), 1, 1},
		{"a host of the zone", set("zone1", "z1.shop.minilb.", "h2.ex.org."), 1, 1},
		{"a host that others lead to", set("direct1", "h1.ex.org.", "10.0.0.4"), 100, 100},
		{"a Service that nothing leads to", func() {
			delete(services, cache.NewObjectName("infra", "other"))
			r.ServiceChanged(cache.NewObjectName("infra", "other"))
		}, 0, 0},
		{"the Service behind hosts", func() {
			delete(services, cache.NewObjectName("infra", "gw"))
			r.ServiceChanged(cache.NewObjectName("infra", "gw"))
		}, 98, 98},
		{"a Namespace", func() { r.NamespaceChanged("shop") }, 0, 0},
		{"nothing", func() {}, 0, 0},
	} {
		step.do()
		if got := len(r.Resolve().Hosts); got < step.least || got > step.most {
			t.Errorf("%s: %d hosts were resolved, want %d to %d", step.what, got, step.least, step.most)
		}
	}
}

// A chain that leads nowhere costs what its hosts cost, whatever there is beside.
func TestResolveLongChain(t *testing.T) {
	var claims []*Claim
	for i := range 20_000 {
		claims = append(claims, testClaim(fmt.Sprintf("Ingress shop/i%d 1", i), fmt.Sprintf("h%d.ex.org.", i), "10.0.0.1"))
	}
	for i := range 1000 {
		claims = append(claims, testClaim(fmt.Sprintf("Ingress evil/i%d 1", i), fmt.Sprintf("h%d.evil.minilb.", i), fmt.Sprintf("h%d.evil.minilb.", i+1)))
	}
	options := &config.Options{Zones: []string{"minilb."}}
	begun := time.Now()
	r := resolve(options, claims, exposures(options))
	took := time.Since(begun)
	if got := len(resolutions(r)); got != 20_000 || took > 5*time.Second {
		t.Errorf("%d hosts lead somewhere after %v", got, took)
	}
	begun = time.Now()
	of := object.KindName{Kind: "Ingress", Namespace: "evil", Name: "i999"}
	r.Set(of, testClaim("Ingress evil/i999 1", "h999.evil.minilb.", "h1000.evil.minilb.", "10.0.0.2"))
	r.Resolve()
	if again := time.Since(begun); len(resolutions(r)) != 20_000+1+maxDepth || again > cmp.Or(took, 5*time.Second) {
		t.Errorf("%d hosts lead somewhere after %v", len(resolutions(r)), again)
	}
	t.Logf("%v at first, then %v", took, time.Since(begun))
}
