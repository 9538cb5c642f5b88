package translator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// sharing makes a Service that claims x.ex.org, with annotations as in "weight=1 priority=2".
func sharing(name, annotations string) *corev1.Service {
	s := testService("shop/"+name, 1, "x.ex.org")
	for _, a := range strings.Fields(annotations) {
		key, value, _ := strings.Cut(a, "=")
		s.Annotations["minilb/"+key] = value
	}
	return s
}

// shareSlice makes the slice of a Service with endpoints of one family.
func shareSlice(name string, family int, addrs ...string) *object.EndpointSlice {
	for i := range addrs {
		addrs[i] += " RSt"
	}
	s := testSlice(fmt.Sprint(name, "-", family), "IPv4", addrs...)
	if family == 1 {
		s = testSlice(fmt.Sprint(name, "-", family), "IPv6", addrs...)
	}
	s.Service = name
	return s
}

// shares returns the percent of the answers for x.ex.org that each Service gets, by family, as in "a 90 0".
func (b *bench) shares() string {
	var all []string
	for _, s := range b.tr.View().Shares("x.ex.org.") {
		all = append(all, fmt.Sprintf("%s %.4g %.4g", strings.TrimPrefix(s.Service, "shop/"), s.A, s.AAAA))
	}
	return strings.Join(all, ", ")
}

// drawn returns what 200 answers for x.ex.org are made of, by family.
func (b *bench) drawn(family int) string {
	_, node := b.index.Lookup("", "x.ex.org.")
	answers := map[string]bool{}
	for range 200 {
		drawn, _ := node.Addrs.Load().Draw(nil, family)
		answers[fmt.Sprint([][]netip.Addr{drawn.V4, drawn.V6}[family])] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(answers)), " ")
}

// L3: of the Services with the lowest priority that have an endpoint of the family, one is drawn by weight for each answer.
func TestShares(t *testing.T) {
	for _, tc := range []struct {
		name    string
		a, b, c string // annotations, and endpoints behind a "|"
		shares  string // percent of A and of AAAA
		addrs   string
		v4, v6  string // the answers that there are
	}{
		{"neither annotation (C3, G43)", "|10.0.0.1 fd00::1", "|10.0.0.2", "", "", "10.0.0.1 10.0.0.2 fd00::1", "[10.0.0.1 10.0.0.2]", "[fd00::1]"},
		{"a canary", "weight=9|10.0.0.1 10.0.0.2", "|10.0.0.3", "", "a 90 0, b 10 0", "10.0.0.1 10.0.0.2 10.0.0.3", "[10.0.0.1 10.0.0.2] [10.0.0.3]", "[]"},
		{"the default is 1", "weight=1|10.0.0.1", "|10.0.0.2", "", "a 50 0, b 50 0", "10.0.0.1 10.0.0.2", "[10.0.0.1] [10.0.0.2]", "[]"},
		{"a backup", "|10.0.0.1", "priority=1|10.0.0.2", "", "a 100 0, b 0 0", "10.0.0.1", "[10.0.0.1]", "[]"},
		{"a backup of one family", "|10.0.0.1", "priority=1|10.0.0.2 fd00::2", "", "a 100 0, b 0 100", "10.0.0.1 fd00::2", "[10.0.0.1]", "[fd00::2]"},
		{"a backup alone has endpoints", "|", "priority=255|10.0.0.2", "", "a 0 0, b 100 0", "10.0.0.2", "[10.0.0.2]", "[]"},
		{"weights of the lowest priority alone", "weight=3|10.0.0.1", "weight=1|10.0.0.2", "weight=255 priority=1|10.0.0.3", "a 75 0, b 25 0, c 0 0", "10.0.0.1 10.0.0.2", "[10.0.0.1] [10.0.0.2]", "[]"},
		{"a weight of 0", "weight=0|10.0.0.1 fd00::1", "|10.0.0.2", "", "a 0 100, b 100 0", "10.0.0.2 fd00::1", "[10.0.0.2]", "[fd00::1]"},
		{"all weights 0", "weight=0|10.0.0.1", "weight=0|10.0.0.2", "", "a 50 0, b 50 0", "10.0.0.1 10.0.0.2", "[10.0.0.1] [10.0.0.2]", "[]"},
		{"weight of one without endpoints", "weight=9|", "|10.0.0.2", "|10.0.0.3", "a 0 0, b 50 0, c 50 0", "10.0.0.2 10.0.0.3", "[10.0.0.2] [10.0.0.3]", "[]"},
		{"no endpoints", "weight=9|", "|", "", "a 0 0, b 0 0", "", "[]", "[]"},
		{"malformed", "weight=many|10.0.0.1", "|10.0.0.2", "", "", "10.0.0.1 10.0.0.2", "[10.0.0.1 10.0.0.2]", "[]"},
		{"one Service", "weight=0 priority=7|10.0.0.1", "", "", "", "10.0.0.1", "[10.0.0.1]", "[]"},
		{"one address of two Services", "weight=1|10.0.0.1", "|10.0.0.1", "", "a 50 0, b 50 0", "10.0.0.1", "[10.0.0.1]", "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, config.Options{})
			for i, of := range []string{tc.a, tc.b, tc.c} {
				annotations, addrs, there := strings.Cut(of, "|")
				if !there {
					continue
				}
				name := string(rune('a' + i))
				b.services().Add(sharing(name, annotations))
				is6 := func(addr string) bool { return strings.Contains(addr, ":") }
				all := strings.Fields(addrs)
				b.watcher.EndpointSlices("").Add(shareSlice(name, 1, slices.DeleteFunc(slices.Clone(all), func(addr string) bool { return !is6(addr) })...))
				b.watcher.EndpointSlices("").Add(shareSlice(name, 0, slices.DeleteFunc(all, is6)...))
			}
			b.sync()
			b.want("x.ex.org.", tc.addrs)
			if got := b.shares(); got != tc.shares {
				t.Errorf("got shares %q, want %q", got, tc.shares)
			}
			if v4, v6 := b.drawn(0), b.drawn(1); v4 != tc.v4 || v6 != tc.v6 {
				t.Errorf("got answers %s and %s, want %s and %s", v4, v6, tc.v4, tc.v6)
			}
		})
	}
}

// L3: addresses of a status are one target, of weight 1 and priority 0.
func TestSharesOfAddresses(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Add(sharing("a", "weight=3"))
	b.watcher.EndpointSlices("").Add(shareSlice("a", 0, "10.0.0.1"))
	b.watcher.Ingresses("").Add(annotatedIngress("shop/i", 1, "", "x.ex.org", "10.9.9.9"))
	b.sync()
	if got := b.shares(); got != " 25 0, a 75 0" {
		t.Errorf("got %q", got)
	}
	b.services().Update(sharing("a", "priority=1"))
	b.want("x.ex.org.", "10.9.9.9")
}

// L3, L6: what is usable counts more than what is preferred: a Service whose endpoints are all out of reach gives way to its backup.
func TestSharesStanding(t *testing.T) {
	b := newBench(t, excluding(t))
	b.services().Add(sharing("a", ""))
	b.services().Add(sharing("b", "priority=1"))
	b.watcher.EndpointSlices("").Add(onNodes("shop/a", "a-1", "10.0.9.1 RSt vps1"))
	b.watcher.EndpointSlices("").Add(onNodes("shop/b", "b-1", "10.0.1.1 RSt home1"))
	b.sync()
	b.want("x.ex.org.", "10.0.9.1")
	nodes := b.watcher.Nodes(b.tr.options.ExcludeNodes)
	nodes.Add(testNode("vps1", "vps"))
	b.want("x.ex.org.", "10.0.1.1")
	nodes.Add(testNode("home1", "vps")) // now both are
	b.want("x.ex.org.", "10.0.9.1")
}

// L3: whatever comes and goes, endpoints and annotations, the answers are what the rule says of the present state, at once; the serial
// changes with them and only then (D24).
func TestSharesFollow(t *testing.T) {
	random, fallbacks := seeded(t), 0
	for range 40 {
		fallbacks += sharesFollow(t, random)
	}
	if fallbacks < 100 {
		t.Errorf("backups answered %d times", fallbacks)
	}
}

// sharesFollow lets 50 things happen, as a serial can be a minute ahead of the clock, and returns how often a backup answered.
func sharesFollow(t *testing.T, random *rand.Rand) (fallbacks int) {
	type service struct {
		weight, priority int // -1 for none
		pods             [2]int
	}
	b := newBench(t, config.Options{})
	names := []string{"a", "b", "c", "d"}
	state := map[string]*service{}
	announce := func(name string) {
		s, annotations := state[name], ""
		if s.weight >= 0 {
			annotations += " weight=" + strconv.Itoa(s.weight)
		}
		if s.priority >= 0 {
			annotations += " priority=" + strconv.Itoa(s.priority)
		}
		b.services().Update(sharing(name, annotations))
	}
	for _, name := range names {
		state[name] = &service{weight: -1, priority: -1}
		announce(name)
	}
	b.sync()
	// said is by the rule: which answers there are for a family, and how often each.
	said := func(family int) (shares map[string]float64, drawn bool) {
		shares = map[string]float64{}
		lowest := 256
		for _, s := range state {
			drawn = drawn || s.weight >= 0 || s.priority >= 0
			if s.pods[family] > 0 {
				lowest = min(lowest, max(0, s.priority))
			}
		}
		sum := 0.0
		for name, s := range state {
			if s.pods[family] > 0 && max(0, s.priority) == lowest {
				shares[name] = 1
				if s.weight >= 0 {
					shares[name] = float64(s.weight)
				}
				sum += shares[name]
			}
		}
		for name := range shares {
			if sum == 0 {
				shares[name] = 100 / float64(len(shares))
			} else {
				shares[name] *= 100 / sum
			}
		}
		return shares, drawn
	}
	addr := func(i, family, pod int) string {
		return []string{fmt.Sprintf("10.0.%d.%d", i, pod), fmt.Sprintf("fd00::%d:%d", i, pod)}[family]
	}
	was, serial := "", b.index.Serial("")
	for step := range 50 {
		i := random.IntN(len(names))
		s := state[names[i]]
		switch random.IntN(4) {
		case 0:
			s.weight = random.IntN(4) - 1
			announce(names[i])
		case 1:
			s.priority = random.IntN(3) - 1
			announce(names[i])
		default:
			family := random.IntN(2)
			s.pods[family] = random.IntN(3)
			var addrs []string
			for pod := range s.pods[family] {
				addrs = append(addrs, addr(i+1, family, pod+1))
			}
			b.watcher.EndpointSlices("").Update(shareSlice(names[i], family, addrs...))
		}
		_, node := b.index.Lookup("", "x.ex.org.")
		all := node.Addrs.Load()
		now := ""
		for family := range 2 {
			shares, drawn := said(family)
			var addrs []string
			weights := map[string]int{}
			for i, name := range names {
				if shares[name] > 0 {
					if weights[name] = abs(state[name].weight); weights[name] == 0 {
						weights[name] = 1 // as all are
					}
					for pod := range state[name].pods[family] {
						addrs = append(addrs, addr(i+1, family, pod+1))
					}
					if drawn && state[name].priority > 0 {
						fallbacks++
					}
				}
			}
			var got []string
			for _, a := range [][]netip.Addr{all.V4, all.V6}[family] {
				got = append(got, a.String())
			}
			if !slices.Equal(got, addrs) {
				t.Fatalf("step %d: got %v, want %v of %v", step, got, addrs, shares)
			}
			if now += fmt.Sprint(addrs); drawn && len(weights) > 1 {
				now += fmt.Sprint(weights)
			}
		}
		if step%10 == 0 { // the Services' shares, as they are reported
			want := map[string]string{}
			v4, drawn := said(0)
			v6, _ := said(1)
			for _, name := range names {
				want[name] = fmt.Sprintf("%s %.4g %.4g", name, v4[name], v6[name])
			}
			if got := b.shares(); drawn && got != strings.Join(slices.Sorted(maps.Values(want)), ", ") || !drawn && got != "" {
				t.Fatalf("step %d: got %s, want %v", step, got, want)
			}
		}
		if next := b.index.Serial(""); was != "" && (now != was) != (next != serial) {
			t.Fatalf("step %d: serial %d, before %d; before it was\n%s, now\n%s", step, next, serial, was, now)
		} else {
			was, serial = now, next
		}
	}
	return fallbacks
}

func abs(n int) int { return max(n, -n) }

// L3: a Service that loses its last endpoint gives way to its backup within the event, and has its place again with the next one.
func TestSharesFallback(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Add(sharing("a", ""))
	b.services().Add(sharing("b", "priority=1"))
	slices := b.watcher.EndpointSlices("")
	slices.Update(shareSlice("a", 0, "10.0.0.1"))
	slices.Update(shareSlice("b", 0, "10.0.0.2"))
	b.sync()
	for range 3 {
		b.want("x.ex.org.", "10.0.0.1")
		slices.Update(shareSlice("a", 0))
		b.want("x.ex.org.", "10.0.0.2")
		slices.Update(shareSlice("a", 0, "10.0.0.1"))
	}
	b.services().Delete(sharing("a", ""))
	b.publish()
	b.want("x.ex.org.", "10.0.0.2")
}

// The annotations are in a snapshot: a start without the API server answers as before.
func TestAnnotationsRestored(t *testing.T) {
	api := gatewayAPIOf(t)
	api.objects["services"] = append(api.objects["services"], sharing("a", "weight=3 ttl=30"), sharing("b", "priority=0 ttl=20"))
	i := testIngress("shop/ttl", "i.ex.org")
	i.Annotations = map[string]string{"minilb/service": "a", "minilb/ttl": "0"}
	api.objects["ingresses"] = append(api.objects["ingresses"], i)
	path := keptState(t, api, config.Options{Gateways: true})
	restoring(t, api, config.Options{Gateways: true}, path, func(t *testing.T, b *bench) {
		for name, want := range map[string]string{"a.shop.minilb.": "30", "b.shop.minilb.": "20", "x.ex.org.": "20", "i.ex.org.": "0"} {
			if got := b.ttl(name); got != want {
				t.Errorf("%s: got TTL %s, want %s", name, got, want)
			}
		}
		if share := b.tr.services.found[cache.NewObjectName("shop", "a")].share.Load(); share.Weight == nil || *share.Weight != 3 || share.Priority != nil {
			t.Errorf("got %+v", share)
		}
	})
}
