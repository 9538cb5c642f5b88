package main

import (
	"math"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		figure
		want string
	}{
		{figure{unit: times, must: 1.05, aim: 1, measured: 1.004}, "aim reached"}, // it reads 1.00
		{figure{unit: times, must: 1.05, aim: 1, measured: 1.005001}, "reached"},
		{figure{unit: times, must: 1.05, aim: 1, measured: 1.0549}, "reached"},
		{figure{unit: times, must: 1.05, aim: 1, measured: 1.056}, "**missed**"},
		{figure{unit: megabytes, must: 64, aim: 40, measured: 64.04}, "reached"},
		{figure{unit: megabytes, must: 64, aim: 40, measured: 64.06}, "**missed**"},
		{figure{unit: millis, must: 1.5, measured: 0.2}, "reached"},
		{figure{unit: millis, aim: 2, measured: 3}, "aim missed"},
		{figure{unit: millis, measured: 3}, ""},
		{figure{unit: millis, must: 1.5, aim: 1, measured: math.NaN()}, "not measured"},
	} {
		if got := tc.verdict(); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.figure, got, tc.want)
		}
	}
}

func TestReport(t *testing.T) {
	var r report
	r.add(figure{name: "a ratio", unit: times, must: 1.05, aim: 1, measured: 0.987, detail: "9.87 µs against 10.00"})
	r.add(figure{name: "a time", unit: seconds, must: 20, measured: 21.5})
	r.note("a peer", "%d µs", 12)
	var out strings.Builder
	r.print(&out)
	want := `| figure | must | aim | measured | verdict |
|---|---|---|---|---|
| a ratio | ≤ 1.05 × | ≤ 1.00 × | 0.99 × (9.87 µs against 10.00) | aim reached |
| a time | ≤ 20 s |  | 21.50 s | **missed** |

| beside it | measured |
|---|---|
| a peer | 12 µs |
`
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	if (&report{}).print(&out); out.Len() > 0 {
		t.Errorf("got %q where nothing was measured", &out)
	}
}
