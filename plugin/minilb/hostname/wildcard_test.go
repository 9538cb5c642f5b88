package hostname

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// G30: the vectors.
func TestIntersect(t *testing.T) {
	for _, tc := range []struct{ listener, route, want string }{
		{"", "a.b.c", "a.b.c"},
		{"*.b.c", "", "*.b.c"},
		{"", "", ""},
		{"*.b.c", "a.b.c", "a.b.c"},
		{"*.b.c", "x.a.b.c", "x.a.b.c"},
		{"*.b.c", "b.c", ""},
		{"a.b.c", "*.b.c", "a.b.c"},
		{"*.b.c", "*.x.b.c", "*.x.b.c"},
		{"*.b.c", "*.c", "*.b.c"},
		{"*.ab.c", "*.b.c", ""},
		{"a.b.c", "*.a.b.c", ""},

		{"a.b.c", "a.b.c", "a.b.c"},
		{"*.b.c", "*.b.c", "*.b.c"},
		{"a.b.c", "x.b.c", ""},
		{"*.b.c", "ab.c", ""},
		{"*.b.c", ".b.c", ""},
		{"", "*.c", "*.c"},
		// What the API server refuses stands for itself alone.
		{"*", "a.b.c", ""},
		{"*b.c", "ab.c", ""},
		{"a.*.c", "a.b.c", ""},
	} {
		if got := Intersect(tc.listener, tc.route); got != tc.want {
			t.Errorf("%q and %q: got %q, want %q", tc.listener, tc.route, got, tc.want)
		}
	}
}

// matches is what the specification says a hostname stands for, on its own.
func matches(hostname, host string) bool {
	if hostname == "" || hostname == host {
		return true
	}
	labels, of := strings.Split(host, "."), strings.Split(hostname, ".")
	if of[0] != "*" || len(labels) < len(of) {
		return false
	}
	return strings.Join(labels[len(labels)-len(of)+1:], ".") == strings.Join(of[1:], ".")
}

// G30: which of the two is the listener's makes no difference, and a host is in the
// intersection if and only if it is in both.
func TestIntersectProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hostname := func(wild bool) string {
		var labels []string
		for range 1 + random.IntN(4) {
			labels = append(labels, []string{"a", "b", "ab"}[random.IntN(3)])
		}
		switch {
		case wild && random.IntN(8) == 0:
			return ""
		case wild && random.IntN(2) == 0:
			labels = append([]string{"*"}, labels...)
		}
		return strings.Join(labels, ".")
	}
	common := 0
	for range 200_000 {
		l, r, host := hostname(true), hostname(true), hostname(false)
		got := Intersect(l, r)
		if reverse := Intersect(r, l); reverse != got {
			t.Fatalf("%q and %q: got %q, the other way round %q", l, r, got, reverse)
		}
		if l == "" && r == "" {
			continue // any host at all, which cannot be published
		}
		in := got != "" && matches(got, host)
		if want := matches(l, host) && matches(r, host); in != want {
			t.Fatalf("%q and %q: got %q, and %q is in it: %v, want %v", l, r, got, host, in, want)
		}
		if in {
			common++
		}
	}
	if common < 1000 {
		t.Errorf("only %d hosts were in an intersection", common)
	}
}
