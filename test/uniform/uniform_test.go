package uniform_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/minilb/minilb/test/uniform"
)

// Draws that look like random ones are told from those that are.
func TestBiased(t *testing.T) {
	const rounds = 100_000
	const seed = 1 // fixed, so that the outcome is, too
	ascending := func(n int) []int {
		p := make([]int, n)
		for i := range p {
			p[i] = i
		}
		return p
	}
	var random *rand.Rand
	// Of n numbers, an order of all, the first k of which are the subset.
	draws := map[string]func(n, k int) []int{
		"shuffled":    func(n, k int) []int { return random.Perm(n) },
		"as they are": func(n, k int) []int { return ascending(n) },
		"from a random one on": func(n, k int) []int {
			first := random.IntN(n)
			return slices.Concat(ascending(n)[first:], ascending(n)[:first])
		},
		"a random subset, sorted": func(n, k int) []int {
			p := random.Perm(n)
			slices.Sort(p[:k])
			return p
		},
		"always the same subset, shuffled": func(n, k int) []int {
			p := ascending(n)
			random.Shuffle(k, func(i, j int) { p[i], p[j] = p[j], p[i] })
			return p
		},
		"each swapped with any other": func(n, k int) []int {
			p := ascending(n)
			for i := range p {
				j := random.IntN(n)
				p[i], p[j] = p[j], p[i]
			}
			return p
		},
		"each swapped with another than itself": func(n, k int) []int {
			p := ascending(n)
			for i := n - 1; i > 0; i-- {
				j := random.IntN(i)
				p[i], p[j] = p[j], p[i]
			}
			return p
		},
		"one in ten with a favourite first": func(n, k int) []int {
			p := random.Perm(n)
			if i := slices.Index(p, 2); random.IntN(10) == 0 {
				p[0], p[i] = p[i], p[0]
			}
			return p
		},
	}
	uniformly := map[string]bool{ // all that are
		"subsets, shuffled": true, "subsets, from a random one on": true, "subsets, a random subset, sorted": true,
		"places, shuffled": true, "orders, shuffled": true,
	}
	for name, draw := range draws {
		random = rand.New(rand.NewPCG(seed, seed))
		check := func(what string, err error) {
			if what += ", " + name; (err == nil) != uniformly[what] {
				t.Errorf("%s: got %v", what, err)
			}
		}
		const n, k = 20, 16
		in, at := make([]int, n), make([][]int, n)
		for i := range at {
			at[i] = make([]int, n)
		}
		orders := map[[4]int]int{}
		for range rounds {
			for i, e := range draw(n, k) {
				at[i][e]++
				if i < k {
					in[e]++
				}
			}
			orders[[4]int(draw(4, 3))]++
		}
		check("subsets", uniform.Subsets(in, rounds, k))
		if name != "from a random one on" { // each place by itself is uniform, but they depend on each other
			check("places", uniform.Places(at, rounds))
		}
		counts := make([]int, 24)
		i := 0
		for _, count := range orders {
			counts[i] = count
			i++
		}
		check("orders", uniform.Outcomes(counts))
	}
}

func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		counts []int
		ok     bool
	}{
		{[]int{1000, 1000, 1000}, true},
		{[]int{1050, 1000, 950}, true},
		{[]int{1300, 1000, 700}, false},
		{[]int{3000, 0, 0}, false},
	} {
		if err := uniform.Outcomes(tc.counts); (err == nil) != tc.ok {
			t.Errorf("%v: got %v", tc.counts, err)
		}
	}
}
