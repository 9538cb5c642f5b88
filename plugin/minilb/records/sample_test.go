package records

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/minilb/minilb/test/uniform"
)

// D23: each subset is as likely as any other, whichever way it is drawn, and so is each order.
func TestPickUniform(t *testing.T) {
	const rounds = 100_000
	of := func(n int) []netip.Addr {
		var all []netip.Addr
		for i := range n {
			all = append(all, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		return all
	}
	number := func(addr netip.Addr) int { return int(addr.As4()[2])<<8 | int(addr.As4()[3]) }

	for _, tc := range []struct{ n, limit int }{{20, 16}, {200, 16}, {17, 16}, {200, maxDrawn + 1}, {20, 1}} {
		all, in, first := of(tc.n), make([]int, tc.n), make([]int, tc.n)
		for range rounds {
			picked := Sample(all, tc.limit)
			first[number(picked[0])]++
			for _, addr := range picked {
				in[number(addr)]++
			}
		}
		if err := uniform.Subsets(in, rounds, tc.limit); err != nil {
			t.Errorf("%d of %d: %v", tc.limit, tc.n, err)
		}
		if err := uniform.Outcomes(first); err != nil {
			t.Errorf("the first of %d of %d: %v", tc.limit, tc.n, err)
		}
	}

	for _, limit := range []int{0, 16} {
		all, at := of(16), make([][]int, 16)
		for i := range at {
			at[i] = make([]int, 16)
		}
		for range rounds {
			for i, addr := range Sample(all, limit) {
				at[i][number(addr)]++
			}
		}
		if err := uniform.Places(at, rounds); err != nil {
			t.Errorf("of 16 with limit %d: %v", limit, err)
		}
	}

	for _, tc := range []struct{ n, limit, orders int }{{4, 0, 24}, {4, 3, 24}, {5, 2, 20}} {
		all, seen := of(tc.n), map[string]int{}
		for range rounds {
			seen[fmt.Sprint(Sample(all, tc.limit))]++
		}
		counts := make([]int, 0, tc.orders)
		for _, n := range seen {
			counts = append(counts, n)
		}
		if len(counts) != tc.orders {
			t.Errorf("of %d with limit %d: got %d orders, want %d", tc.n, tc.limit, len(counts), tc.orders)
		} else if err := uniform.Outcomes(counts); err != nil {
			t.Errorf("of %d with limit %d: %v", tc.n, tc.limit, err)
		}
	}
}
