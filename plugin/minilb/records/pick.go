package records

import (
	"math/rand/v2"
	"net/netip"
	"slices"
)

// maxDrawn is up to how many addresses it is cheaper to draw each than to shuffle all.
const maxDrawn = 64

// Pick returns at most limit of addrs, 0 meaning all, in random order. Each address is
// equally likely to be among them and to stand at each place (D23). The result is the
// caller's; addrs is not modified.
func Pick(addrs []netip.Addr, limit int) []netip.Addr {
	chosen := draw(len(addrs), limit)
	picked := make([]netip.Addr, 0, len(chosen))
	for _, i := range chosen {
		picked = append(picked, addrs[i])
	}
	return picked
}

// draw returns at most limit of the numbers below n, 0 meaning all, in random order.
func draw(n, limit int) []int {
	if limit <= 0 || limit > n {
		limit = n
	}
	if limit == n || limit > maxDrawn {
		return rand.Perm(n)[:limit]
	}
	// Floyd's sampling draws limit of n without touching the rest, so that a Service of
	// thousands of endpoints costs as much as one of a few; it does not order, so shuffle.
	chosen := make([]int, 0, limit)
	for j := n - limit; j < n; j++ {
		if i := rand.IntN(j + 1); !slices.Contains(chosen, i) {
			chosen = append(chosen, i)
		} else {
			chosen = append(chosen, j)
		}
	}
	rand.Shuffle(limit, func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}
