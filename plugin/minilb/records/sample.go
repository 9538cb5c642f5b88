package records

import (
	"math/rand/v2"
	"net/netip"
	"slices"
)

const (
	// maxDrawn is up to how many addresses it is cheaper to draw each than to permute all.
	maxDrawn = 64

	// usual is for how many there is room on the stack: growing the stack of a query costs more than an allocation.
	usual = 16
)

// Sample returns a copy of at most limit of addrs, 0 meaning all, in random order. Each address is equally likely to be
// among them and to stand at each place (D23).
func Sample(addrs []netip.Addr, limit int) []netip.Addr {
	if limit <= 0 || limit >= len(addrs) {
		picked := slices.Clone(addrs)
		rand.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
		return picked
	}
	var room [usual]int
	picked := make([]netip.Addr, 0, limit)
	for _, i := range draw(room[:0], len(addrs), limit) {
		picked = append(picked, addrs[i])
	}
	return picked
}

// draw appends limit random numbers below n to chosen, each once, in random order.
func draw(chosen []int, n, limit int) []int {
	if limit > maxDrawn {
		return append(chosen, rand.Perm(n)[:limit]...)
	}
	// Floyd's algorithm: its cost does not depend on n. Its order is not random, hence the shuffle.
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
