package main

import (
	"math"
	"slices"
	"testing"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, tc := range []struct {
		values  []float64
		p, want float64
	}{
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1}, {[]float64{7}, 99, 7}, {[]float64{2, 1}, 50, 1},
	} {
		if got := percentile(tc.values, tc.p); got != tc.want {
			t.Errorf("%v %% of %v: got %v, want %v", tc.p, tc.values, got, tc.want)
		}
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("got %v of nothing", got)
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{9}, 9}} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("%v: got %v, want %v", tc.values, got, tc.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("got %v of nothing", got)
	}
}

func TestRatios(t *testing.T) {
	if got, want := ratios([]float64{2, 9, 5}, []float64{1, 3}), []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
