package records

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func node(addr string) *Node {
	return &Node{Addrs: NewAddressSet(NewAddresses(netip.MustParseAddr(addr)))}
}

func TestLookup(t *testing.T) {
	zone := []string{"minilb.", "sub.minilb."}
	ns1, web, star, deep, overlay := node("192.0.2.1"), node("10.0.0.1"), node("10.0.0.2"), node("10.0.0.3"), node("10.0.0.4")
	literal := node("10.0.0.5")
	x := NewIndex(zone, Entry{"ns1.minilb.", ns1})
	x.Update(nil, []Entry{
		{"web.shop.minilb.", web},
		{"*.shop.minilb.", star},
		{"ns1.minilb.", web}, // C1: structure wins
		{"db.sub.minilb.", deep},
		{"*.foo.com.", star}, {"x.bar.foo.com.", deep}, {"a.foo.com.", overlay}, {"*.a.foo.com.", deep},
		{"sub.*.wild.com.", literal}, {"solo.", overlay}, {"wpad.foo.com.", deep},
	}, false)

	tests := []struct {
		name, zone string
		result     Result
		node       *Node
	}{
		{"minilb.", "minilb.", NoData, nil},
		{"ns1.minilb.", "minilb.", Found, ns1},
		{"x.ns1.minilb.", "minilb.", NameError, nil},
		{"web.shop.minilb.", "minilb.", Found, web},
		{"shop.minilb.", "minilb.", NoData, nil}, // D12
		{"nope.minilb.", "minilb.", NameError, nil},
		{"x.y.minilb.", "minilb.", NameError, nil},
		{"nope.shop.minilb.", "minilb.", Found, star},
		{"x.y.shop.minilb.", "minilb.", Found, star},      // RFC 4592: a wildcard covers any depth
		{"x.web.shop.minilb.", "minilb.", NameError, nil}, // the closest encloser is web.shop.minilb.
		{"db.sub.minilb.", "sub.minilb.", Found, deep},    // M5b: the longest zone
		{"xminilb.", "", NameError, nil},                  // no zone of ours
		{`x\.minilb.`, "", NameError, nil},                // D15: one label that contains a dot
		{`x\\.minilb.`, "minilb.", NameError, nil},        // D15: a label that ends in a backslash
		{`web\.shop.minilb.`, "minilb.", NameError, nil},  // D15
		{"q.foo.com.", "", Found, star},                   // D10
		{"p.q.foo.com.", "", Found, star},                 // I4: any depth
		{"foo.com.", "", NoData, nil},                     // I4: the parent is not covered
		{"com.", "", NoData, nil},                         //
		{"y.bar.foo.com.", "", NameError, nil},            // D10: bar.foo.com. is closer
		{"bar.foo.com.", "", NoData, nil},                 // D12
		{"a.foo.com.", "", Found, overlay},                // D11
		{"z.a.foo.com.", "", Found, deep},                 // D14
		{"*.foo.com.", "", Found, star},                   // D13
		{"sub.*.wild.com.", "", Found, literal},           //
		{"q.wild.com.", "", NoData, nil},                  // the wildcard is an empty non-terminal
		{"solo.", "", Found, overlay},                     //
		{"example.org.", "", NameError, nil},              //
		{"wpad.foo.com.", "", Found, deep},                // C7: no wildcard covers it, though a claim may be on it
		{"wpad.q.foo.com.", "", NameError, nil},           // C7: at any depth
		{"isatap.foo.com.", "", NameError, nil},           //
		{"isatap.shop.minilb.", "minilb.", NameError, nil},
		{"q.wpad.shop.minilb.", "minilb.", Found, star},
		{"wpad2.foo.com.", "", Found, star},
		{".", "", NameError, nil}, //
	}
	for _, tc := range tests {
		zone := x.Zone(tc.name)
		if zone != tc.zone {
			t.Errorf("%s: got zone %q, want %q", tc.name, zone, tc.zone)
			continue
		}
		if result, node := x.Lookup(zone, tc.name); result != tc.result || node != tc.node {
			t.Errorf("%s: got result %d, node %p, want %d, %p", tc.name, result, node, tc.result, tc.node)
		}
	}
}

// The tree must not depend on the order in which its names come.
func TestTreeOrder(t *testing.T) {
	records := []Entry{
		{"a.b.c.org.", node("10.0.0.1")}, {"*.c.org.", node("10.0.0.2")}, {"b.c.org.", node("10.0.0.3")},
		{"*.b.c.org.", node("10.0.0.4")}, {"x.*.c.org.", node("10.0.0.5")},
	}
	reference := newTree(".", records)
	questions := []string{"a.b.c.org.", "q.b.c.org.", "q.c.org.", "b.c.org.", "c.org.", "x.*.c.org.", "*.c.org.", "q.x.*.c.org."}
	var permute func(k int)
	permute = func(k int) {
		if k == len(records) {
			tree := newTree(".", records)
			for _, q := range questions {
				wantResult, want := reference.lookup(q)
				if result, got := tree.lookup(q); result != wantResult || got != want {
					t.Fatalf("%s in order %v: got %v, want %v", q, records, got, want)
				}
			}
			return
		}
		for i := k; i < len(records); i++ {
			records[k], records[i] = records[i], records[k]
			permute(k + 1)
			records[k], records[i] = records[i], records[k]
		}
	}
	permute(0)
}

// D72, D73
func TestNotSynced(t *testing.T) {
	x := NewIndex([]string{"minilb."}, Entry{"ns1.minilb.", node("192.0.2.1")})
	for _, name := range []string{"minilb.", "ns1.minilb.", "web.shop.minilb.", "a.ex.org."} {
		if result, _ := x.Lookup(x.Zone(name), name); result != NotSynced {
			t.Errorf("before the first Update, %s: got %d, want NotSynced", name, result)
		}
	}
	web := node("10.0.0.1")
	x.Update(nil, []Entry{{"a.ex.org.", web}}, true)
	if result, _ := x.Lookup("minilb.", "web.shop.minilb."); result != NotSynced || x.Synced() {
		t.Errorf("in a zone with partial content: got %d, want NotSynced", result)
	}
	if result, got := x.Lookup("", "a.ex.org."); result != Found || got != web {
		t.Errorf("in the overlay beside a partial zone: got %d, want Found", result)
	}
	x.Update(nil, nil, false)
	if result, _ := x.Lookup("minilb.", "web.shop.minilb."); result != NameError || !x.Synced() {
		t.Errorf("in a synced zone: got %d, want NotFound", result)
	}
}

// D12, RFC 8020 §2: who is told that a name does not exist need not ask for what lies below it.
func TestZoneWithinAnother(t *testing.T) {
	x := NewIndex([]string{"a.b.minilb.", "minilb.", "lan."})
	x.Update(nil, nil, false)
	for name, want := range map[string]Result{"a.b.minilb.": NoData, "b.minilb.": NoData, "c.b.minilb.": NameError, "b.lan.": NameError, "c.minilb.": NameError} {
		if result, node := x.Lookup(x.Zone(name), name); result != want || node != nil {
			t.Errorf("%s: got %d, %v, want %d", name, result, node, want)
		}
	}
}

// D12, D27: the apex exists, whether anything does below it or not.
func TestEmptyZone(t *testing.T) {
	x := NewIndex([]string{"minilb."})
	x.Update(nil, nil, false)
	if result, node := x.Lookup("minilb.", "minilb."); result != NoData || node != nil {
		t.Errorf("got %d, %v, want Empty", result, node)
	}
}

// D24
func TestSerial(t *testing.T) {
	start := uint32(time.Now().Unix())
	x := NewIndex([]string{"minilb.", "lan."})
	web := node("10.0.0.1")
	x.replace([]Entry{{"web.shop.minilb.", web}})
	minilb, lan, overlay := x.Serial("minilb."), x.Serial("lan."), x.Serial("")
	if minilb < start || lan < start || overlay < start {
		t.Fatalf("first serials %d, %d, %d: want the clock's %d or later", minilb, lan, overlay, start)
	}

	x.replace([]Entry{{"web.shop.minilb.", node("10.0.0.1")}})
	if got := x.Serial("minilb."); got != minilb {
		t.Errorf("the same content moved the serial from %d to %d", minilb, got)
	}
	for i := range 5 { // faster than the clock: strictly monotonic all the same
		before := x.Serial("minilb.")
		x.replace([]Entry{{"web.shop.minilb.", node(fmt.Sprintf("10.0.1.%d", i))}})
		if got := x.Serial("minilb."); got <= before {
			t.Errorf("a change moved the serial from %d to %d", before, got)
		}
	}
	if got := x.Serial("lan."); got != lan {
		t.Errorf("a change in one zone moved another's serial from %d to %d", lan, got)
	}
	x.replace([]Entry{{"web.shop.minilb.", web}, {"a.ex.org.", &Node{Target: "lb.example."}}})
	if got := x.Serial(""); got <= overlay {
		t.Errorf("a new overlay name left its serial at %d", got)
	}
	for _, zone := range []string{"lan.", ""} {
		before, other := x.Serial(zone), x.Serial("minilb.")
		x.MarkChanged(zone)
		if got := x.Serial(zone); got <= before {
			t.Errorf("changed addresses left the serial of zone %q at %d", zone, got)
		}
		if got := x.Serial("minilb."); got != other {
			t.Errorf("changed addresses in zone %q moved another's serial", zone)
		}
	}
}

// D24: whatever changes in what is answered moves the serial.
func TestSerialChanges(t *testing.T) {
	const name = "a.b.minilb."
	alias := func(target string) *Node { return &Node{Target: target} }
	tests := []struct {
		name          string
		before, after []Entry
	}{
		{"a name comes", nil, []Entry{{name, node("10.0.0.1")}}},
		{"a name goes", []Entry{{name, node("10.0.0.1")}, {"c.b.minilb.", node("10.0.0.1")}}, []Entry{{name, node("10.0.0.1")}}},
		{"one name for another", []Entry{{name, node("10.0.0.1")}}, []Entry{{"c.b.minilb.", node("10.0.0.1")}}},
		{"a name becomes an empty non-terminal", []Entry{{"b.minilb.", node("10.0.0.1")}, {name, node("10.0.0.1")}}, []Entry{{name, node("10.0.0.1")}}},
		{"an empty non-terminal for another", []Entry{{name, node("10.0.0.1")}, {"x.c.b.minilb.", node("10.0.0.1")}}, []Entry{{name, node("10.0.0.1")}, {"x.d.b.minilb.", node("10.0.0.1")}}},
		{"another family", []Entry{{name, node("10.0.0.1")}}, []Entry{{name, node("fd00::1")}}},
		{"another IPv6 address", []Entry{{name, node("fd00::1")}}, []Entry{{name, node("fd00::2")}}},
		{"another target", []Entry{{name, alias("lb1.example.")}}, []Entry{{name, alias("lb2.example.")}}},
		{"addresses become an alias", []Entry{{name, node("10.0.0.1")}}, []Entry{{name, alias("lb.example.")}}},
		{"an alias becomes addresses", []Entry{{name, alias("lb.example.")}}, []Entry{{name, node("10.0.0.1")}}},
	}
	for _, tc := range tests {
		x := NewIndex([]string{"minilb."})
		x.replace(tc.before)
		before := x.Serial("minilb.")
		x.replace(tc.after)
		if got := x.Serial("minilb."); got <= before {
			t.Errorf("%s: the serial stays at %d", tc.name, got)
		}
	}
}

// D24: no moment has content without a serial at the start, nor old content under a new serial
// later. Many zones make that moment a long one.
func TestSerialBesideUpdate(t *testing.T) {
	var zones []string
	var states [2][]Entry
	for i := range 100 {
		zone := fmt.Sprintf("z%d.", i)
		zones = append(zones, zone)
		for state := range states {
			states[state] = append(states[state], Entry{fmt.Sprintf("s%d.%s", state, zone), node("10.0.0.1")})
		}
	}
	first, last := zones[0], zones[len(zones)-1]
	for range 50 {
		x := NewIndex(zones)
		replacing := func(records []Entry, check func()) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				x.replace(records)
			}()
			for {
				check()
				select {
				case <-done:
					return
				default:
				}
			}
		}
		replacing(states[0], func() {
			if result, _ := x.Lookup(last, last); result != NotSynced && x.Serial(last) == 0 {
				t.Fatal("content without a serial")
			}
		})
		for round := range 2 {
			before, old := x.Serial(first), fmt.Sprintf("s%d.%s", round%2, first)
			replacing(states[(round+1)%2], func() {
				now := x.Serial(first)
				if result, _ := x.Lookup(first, old); now != before && result == Found {
					t.Fatal("old content under a new serial")
				}
			})
		}
	}
}

// D24: an index that takes another's place goes on with its serials, zone by zone.
func TestContinue(t *testing.T) {
	old, x := NewIndex([]string{"minilb.", "lan."}), NewIndex([]string{"minilb.", "other."})
	for _, index := range []*Index{old, x} {
		index.Update(nil, []Entry{{"web.shop.minilb.", node("10.0.0.1")}}, false)
	}
	for range 10 { // ahead of the clock
		old.MarkChanged("minilb.")
		old.Serial("minilb.")
	}
	before, other := old.Serial("minilb."), x.Serial("other.")
	x.InheritSerials(old)
	if got := x.Serial("minilb."); got <= before {
		t.Errorf("the new index has serial %d after %d", got, before)
	}
	if got := x.Serial("other."); got != other {
		t.Errorf("another zone went from %d to %d", other, got)
	}
	if got := x.PeekSerial("minilb."); got != x.Serial("minilb.") {
		t.Errorf("peeked at %d", got)
	}
	x.MarkChanged("minilb.")
	if first, second := x.PeekSerial("minilb."), x.PeekSerial("minilb."); first != second || x.Serial("minilb.") != first {
		t.Errorf("peeked at %d, then %d, of %d", first, second, x.Serial("minilb."))
	}
}
