package uniform

import (
	"math"
	"testing"
)

// The quantiles of the tables, as far out as they go.
func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		freedom int
		z, want float64
	}{{19, 1.6449, 30.14}, {19, 3.0902, 43.82}, {23, 3.0902, 49.73}, {100, 3.0902, 149.45}, {225, 1.6449, 260.99}} {
		if got := quantile(tc.freedom, tc.z); math.Abs(got-tc.want) > 0.2 {
			t.Errorf("%d degrees, %.4f deviations: got %.2f, want %.2f", tc.freedom, tc.z, got, tc.want)
		}
	}
}
