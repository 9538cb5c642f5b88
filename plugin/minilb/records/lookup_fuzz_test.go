package records

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// What the worlds are made of: few labels, so that names meet.
var (
	fuzzZones  = []string{"minilb.", "lan.", "shop.minilb.", "a.b.minilb.", "x.web.shop.minilb."}
	fuzzLabels = []string{"web", "shop", "a", "b", "x", "*", "ns1", "10-0-0-1", "fd00-1--0", "db-0"} // that hosts may have
	fuzzAsked  = append(slices.Clone(fuzzLabels), "_tcp", "_http", "_udp", "_dns", `a\.b`, `a\\`)
	fuzzBases  = []string{"org.", "ex.org.", "minilb.", "lan.", "shop.minilb.", "web.shop.minilb.", "b.minilb."}
	fuzzAddrs  = addrs("10.0.0.1", "10.0.0.2", "10.0.0.30", "fd00::1", "fd00:1::", "fd00::2")
	fuzzHosts  = []string{"", "db-0", "db-1", "a", "web", "10-0-0-1", "fd00--1"}
)

// draws turns the fuzzer's bytes into decisions.
type draws []byte

// of returns a number below n, 0 once the bytes are used up.
func (d *draws) of(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

func pickOf[T any](d *draws, of []T) T { return of[d.of(len(of))] }

// name puts up to n labels in front of a base.
func (d *draws) name(base string, n int, labels []string) string {
	for range d.of(n + 1) {
		base = pickOf(d, labels) + "." + base
	}
	return base
}

// world decodes zones, Services with endpoints and ports, claims, and names without data.
func (d *draws) world() *world {
	w := &world{services: map[*Node]*service{}, known: map[string][]fact{}}
	chosen := d.of(256)
	for i, zone := range fuzzZones {
		if chosen&(1<<i) != 0 {
			w.zones = append(w.zones, zone)
			w.fixed = append(w.fixed, Entry{"ns1." + zone, node("192.0.2.53")})
		}
	}
	if chosen >= 128 {
		slices.Reverse(w.zones)
	}
	for range d.of(12) {
		switch d.of(5) {
		case 0:
			w.service(d)
		case 1, 2:
			w.records = append(w.records, Entry{d.name(pickOf(d, fuzzBases), 3, fuzzLabels), node("10.9.9.9")})
		case 3: // C6
			if name := d.name("ex.org.", 2, fuzzLabels); w.zone(name) == "" {
				w.records = append(w.records, Entry{Name: name})
			}
		case 4: // C7b
			if name := d.name("ex.org.", 2, fuzzLabels); w.zone(name) == "" && !strings.HasPrefix(name, "*") {
				w.records = append(w.records, Entry{name, Transparent})
			}
		}
	}
	return w
}

// service decodes a Service and puts it below each zone.
func (w *world) service(d *draws) {
	s := &service{}
	chosen := d.of(1 << len(fuzzAddrs))
	for i, addr := range fuzzAddrs {
		if chosen&(1<<i) == 0 {
			continue
		}
		s.addrs = append(s.addrs, addr)
		for range d.of(3) {
			if label := pickOf(d, fuzzHosts); label != "" {
				s.hosts = append(s.hosts, Host{label, addr})
			}
		}
	}
	for range d.of(4) {
		p := Port{Proto: pickOf(d, []string{"_tcp", "_udp"}), Service: pickOf(d, []string{"_http", "_dns", "_tcp"}), Number: uint16(80 + d.of(2))}
		if d.of(2) == 1 {
			p.Addrs = []netip.Addr{}
			for _, addr := range s.addrs {
				if d.of(2) == 1 {
					p.Addrs = append(p.Addrs, addr)
				}
			}
		}
		same := func(q Port) bool { return q.compare(&p) == 0 }
		if !slices.ContainsFunc(s.ports, same) { // a number has one set of addresses
			s.ports = append(s.ports, p)
		}
	}
	all := NewAddresses(s.addrs...)
	all.Endpoints = NewEndpoints(all, slices.Clone(s.hosts), s.labelled())
	n := &Node{Addrs: NewAddressSet(all), NamesBelow: true, Source: "service", Namespace: "shop", Service: "web"}
	w.services[n] = s
	name := pickOf(d, []string{"web", "db", "a"}) + "." + pickOf(d, []string{"shop", "web", "b"}) + "."
	for _, zone := range w.zones {
		w.records = append(w.records, Entry{name + zone, n})
	}
}

// questions returns each name of the world, names around it, and some more.
func (w *world) questions(d *draws) []string {
	names := slices.Clone(w.zones)
	for _, zone := range append([]string{""}, w.zones...) {
		for _, f := range w.facts(zone) {
			names = append(names, f.name)
		}
	}
	questions := []string{"."}
	for _, name := range names {
		questions = append(questions, "nope.nope."+name, "*."+name)
		for ; name != "."; name = parent(name) {
			questions = append(questions, name, "nope."+name)
		}
	}
	slices.Sort(questions)
	questions = slices.Compact(questions)
	for range 4 {
		questions = append(questions, d.name(pickOf(d, append(names, fuzzBases...)), 3, fuzzAsked))
	}
	return questions
}

// check compares what the index says to a question with what the model says.
func (w *world) check(t *testing.T, x *Index, question string) {
	wantZone, zone := w.zone(question), x.Zone(question)
	if zone != wantZone {
		t.Fatalf("%s: got zone %q, want %q of %q", question, zone, wantZone, w.zones)
	}
	wantResult, want := w.lookup(question)
	result, got := x.Lookup(zone, question)
	fail := func(what string, got, want any) {
		t.Helper()
		t.Errorf("%s: %s: got %v, want %v, in zones %q with", question, what, got, want, w.zones)
		for _, r := range w.records {
			if w.zone(r.Name) == zone {
				t.Logf("%s %v", r.Name, w.services[r.Node])
			}
		}
	}
	if result != wantResult {
		fail("result", result, wantResult)
		return
	}
	switch {
	case !want.data():
		if got != nil {
			fail("node", got, nil)
		}
	case want.node != nil:
		if got != want.node {
			fail("node", got, want.node)
		}
	case got == nil || got.Service != want.service.Service || got.Namespace != want.service.Namespace || got.Source != want.service.Source || got.NamesBelow || got.Target != "":
		fail("node", got, want.service)
	case want.port:
		if got.Ports == nil || got.Addrs != nil {
			fail("a named port's node", got, "ports alone")
			return
		}
		order := func(a, b Target) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number))
		}
		targets := slices.SortedFunc(slices.Values(withoutAddrs(t, got, got.Targets(parent(parent(question)), 0))), order)
		if want := slices.SortedFunc(slices.Values(want.targets), order); !slices.Equal(targets, want) {
			fail("targets", targets, want)
		}
		for _, target := range targets {
			if _, at := w.lookup(target.Name); at.node != nil && at.node.NamesBelow {
				continue // where a zone lies in another, a Service may have an endpoint's name
			} else if !sameAddrs(got.ServedBy.At(target.Label()), at.addrs) {
				fail("addresses of "+target.Name, got.ServedBy.At(target.Label()), at.addrs)
			}
		}
	case got.Addrs == nil || got.Ports != nil || !sameAddrs(slices.Concat(got.Addrs.Load().V4, got.Addrs.Load().V6), want.addrs):
		fail("an endpoint's addresses", got, want.addrs)
	}
}

// sameAddrs reports whether both hold the same addresses in any order.
func sameAddrs(a, b []netip.Addr) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), netip.Addr.Compare), slices.SortedFunc(slices.Values(b), netip.Addr.Compare))
}

// compare asks a world that is decoded from data all its questions.
func compare(t *testing.T, data []byte) {
	d := draws(data)
	w := d.world()
	x := w.index()
	for _, question := range w.questions(&d) {
		if w.check(t, x, question); t.Failed() {
			t.Fatalf("decoded from %q", data)
		}
	}
}

// The index answers as the model does, in worlds of all sizes: D10–D14, D16, D40–D42, M5b, C1, C6, C7b.
func TestLookupModel(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	for i := range 1000 {
		data := make([]byte, i%150)
		random.Read(data)
		compare(t, data)
	}
}

// FuzzLookup looks for worlds in which it does not.
func FuzzLookup(f *testing.F) {
	random := rand.NewChaCha8([32]byte{1})
	for i := range 20 { // the fuzzer tries each slowly
		data := make([]byte, 8*i)
		random.Read(data)
		f.Add(data)
	}
	f.Fuzz(compare)
}
