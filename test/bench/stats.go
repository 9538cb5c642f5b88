package main

import (
	"math"
	"slices"
)

// percentile returns the smallest value that at least p percent of the values do not exceed, NaN
// if there are none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median returns the value in the middle, or between the two that are.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios divides what was measured in each round by what was in the same round beside it, so that
// what slowed both does not count.
func ratios(values, beside []float64) []float64 {
	var quotients []float64
	for i := range min(len(values), len(beside)) {
		quotients = append(quotients, values[i]/beside[i])
	}
	return quotients
}
