package panels

import (
	"math"
	"strconv"
)

// scales are the steps in which numbers of a unit are written, the largest first.
var scales = map[string][]struct {
	factor float64
	suffix string
}{
	"s":           {{3600, " h"}, {60, " min"}, {1, " s"}, {1e-3, " ms"}, {1e-6, " µs"}},
	"bytes":       {{1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}, {1, " B"}},
	"reqps":       {{1e3, "k req/s"}, {1, " req/s"}},
	"percentunit": {{0.01, "%"}},
	"short":       {{1e3, "k"}, {1, ""}},
}

// format writes a number as Grafana does in a unit, with three digits or so many decimals.
func format(v float64, unit string, decimals *int) string {
	scale := scales[unit]
	if scale == nil {
		scale = scales["short"]
	}
	chosen := scale[len(scale)-1]
	if v == 0 && unit == "s" {
		return "0 s"
	}
	for _, s := range scale {
		if math.Abs(v) >= s.factor {
			chosen = s
			break
		}
	}
	v /= chosen.factor
	if decimals != nil {
		return strconv.FormatFloat(v, 'f', *decimals, 64) + chosen.suffix
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64) + chosen.suffix
}

// tick returns the distance of the marks of an axis that goes from 0 to so much: 1, 2 or 5 times a
// power of what the unit counts in, so that there are three to six.
func tick(highest float64, unit string) float64 {
	if highest <= 0 {
		return 1
	}
	base := 1.0
	if unit == "bytes" {
		base = math.Pow(1024, math.Floor(math.Log(highest)/math.Log(1024)))
	}
	rough := highest / base / 5
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough {
			return m * power * base
		}
	}
	return 10 * power * base
}
