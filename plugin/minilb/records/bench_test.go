package records

import (
	"fmt"
	"net/netip"
	"testing"
)

// sized returns an index of so many Services with so many endpoints each and a named port, each
// of which has a host and a wildcard in the overlay.
func sized(services, endpoints int) *Index {
	var records []Entry
	for i := range services {
		var addrs []netip.Addr
		for j := range endpoints {
			n := i*endpoints + j
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		}
		all := NewAddresses(addrs...)
		all.Endpoints = NewEndpoints(all, nil, []Port{{Proto: "_tcp", Service: "_http", Number: 8080}})
		set := NewAddressSet(all)
		records = append(records,
			Entry{fmt.Sprintf("s%06d.shop.minilb.", i), &Node{Addrs: set, NamesBelow: true, Source: "service", Namespace: "shop", Service: fmt.Sprintf("s%06d", i)}},
			Entry{fmt.Sprintf("s%06d.ex.org.", i), &Node{Addrs: set}},
			Entry{fmt.Sprintf("*.w%06d.ex.org.", i), &Node{Addrs: set}},
		)
	}
	x := NewIndex([]string{"minilb."})
	x.Update(nil, records, false)
	return x
}

// lookups are the names that are looked up, by what they are; %06d is the number of a Service.
var lookups = []struct {
	kind, name string
	want       Result
}{
	{"zone", "s%06d.shop.minilb.", Found},
	{"overlay", "s%06d.ex.org.", Found},
	{"wildcard", "any.w%06d.ex.org.", Found},
	{"endpoint", "10-0-0-0.s%06d.shop.minilb.", Found},
	{"port", "_http._tcp.s%06d.shop.minilb.", Found},
	{"nxdomain", "n%06d.shop.minilb.", NameError},
	{"other", "s%06d.ex.net.", NameError},
}

func BenchmarkLookup(b *testing.B) {
	for _, services := range []int{100, 10_000, 100_000} {
		x := sized(services, 1)
		for _, l := range lookups {
			if l.kind == "endpoint" && services > 100 {
				continue // it is the same for any number
			}
			b.Run(fmt.Sprintf("%s/services=%d", l.kind, services), func(b *testing.B) {
				var names []string
				for i := range 1024 {
					number := i * 7919 % services
					if l.kind == "endpoint" {
						number = 0
					}
					names = append(names, fmt.Sprintf(l.name, number))
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					name := names[i%len(names)]
					if result, _ := x.Lookup(x.Zone(name), name); result != l.want {
						b.Fatalf("%s: got %v, want %v", name, result, l.want)
					}
				}
			})
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, size := range []struct{ of, limit int }{{3, 0}, {10, 0}, {10, 3}, {100, 0}, {100, 16}, {5000, 16}} {
		b.Run(fmt.Sprintf("addresses=%d/limit=%d", size.of, size.limit), func(b *testing.B) {
			addrs := make([]netip.Addr, size.of)
			b.ReportAllocs()
			for b.Loop() {
				Sample(addrs, size.limit)
			}
		})
	}
}

// BenchmarkUpdate is what a name's change costs: it goes and comes back.
func BenchmarkUpdate(b *testing.B) {
	for _, services := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			x := sized(services, 1)
			var records []Entry
			for i := range min(services, 1024) {
				name := fmt.Sprintf("s%06d.shop.minilb.", i*7919%services)
				_, node := x.Lookup("minilb.", name)
				records = append(records, Entry{name, node})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := records[i%len(records)]
				x.Update([]string{r.Name}, nil, false)
				x.Update(nil, []Entry{r}, false)
			}
		})
	}
}

// BenchmarkFill is the cost of the first update, which puts all names.
func BenchmarkFill(b *testing.B) {
	for _, hosts := range []int{1000, 20_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			var records []Entry
			for i := range hosts {
				records = append(records, Entry{fmt.Sprintf("h%06d.ex.org.", i), &Node{Addrs: NewAddressSet(NewAddresses())}})
			}
			b.ReportAllocs()
			for b.Loop() {
				NewIndex([]string{"minilb."}).Update(nil, records, false)
			}
		})
	}
}
