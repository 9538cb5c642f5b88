// Package uniform tells whether draws at random are uniform, by Pearson's chi-squared test. A
// draw that is uniform is found not to be once in 10^10 tests.
package uniform

import (
	"fmt"
	"math"
)

// deviations of a normal distribution that a uniform draw exceeds once in 10^10 times.
const deviations = 6.4

// Outcomes returns an error if outcomes that are equally likely were not equally frequent.
func Outcomes(counts []int) error {
	rounds := 0
	for _, n := range counts {
		rounds += n
	}
	expected := float64(rounds) / float64(len(counts))
	return judge("outcomes", squares(counts, expected)/expected, len(counts)-1)
}

// Subsets returns an error if subsets of size k were not drawn uniformly: counts says how often
// each element was in one. An element that is in a subset leaves less room for the others,
// which makes the variance smaller than that of independent draws.
func Subsets(counts []int, rounds, k int) error {
	n := float64(len(counts))
	p := float64(k) / n
	variance := float64(rounds) * p * (1 - p) * n / (n - 1)
	return judge("subsets", squares(counts, float64(rounds)*p)/variance, len(counts)-1)
}

// Places returns an error if orders of all elements were not drawn uniformly: counts[i][j] says
// how often element j stood at place i. Each place has one element and each element one place.
func Places(counts [][]int, rounds int) error {
	n, sum := float64(len(counts)), 0.0
	for _, place := range counts {
		sum += squares(place, float64(rounds)/n)
	}
	return judge("places", sum*(n-1)/float64(rounds), (len(counts)-1)*(len(counts)-1))
}

// squares returns the sum of the squared deviations.
func squares(counts []int, expected float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += (float64(n) - expected) * (float64(n) - expected)
	}
	return sum
}

func judge(what string, chi2 float64, freedom int) error {
	if limit := quantile(freedom, deviations); !(chi2 <= limit) {
		return fmt.Errorf("the %s are not uniform: chi-squared is %.1f, with %d degrees of freedom never above %.1f", what, chi2, freedom, limit)
	}
	return nil
}

// quantile returns the chi-squared value as unlikely to be exceeded as z is by a normal
// distribution (Wilson and Hilferty 1931).
func quantile(freedom int, z float64) float64 {
	v := 2 / (9 * float64(freedom))
	return float64(freedom) * math.Pow(1-v+z*math.Sqrt(v), 3)
}
