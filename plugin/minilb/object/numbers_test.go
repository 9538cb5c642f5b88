package object

import (
	"strings"
	"testing"
)

// L2, L3: a number up to the largest; anything else costs the annotation and has one short line.
func TestNumber(t *testing.T) {
	for _, tc := range []struct {
		value string
		want  int // -1 for malformed
	}{
		{"0", 0}, {"1", 1}, {" 30\n", 30}, {"007", 7}, {"255", 255},
		{"", -1}, {"256", -1}, {"65536", -1}, {"-1", -1}, {"+1", -1}, {"5s", -1}, {"1.5", -1}, {"1 2", -1}, {"0x10", -1}, {"1_0", -1}, {"٣", -1},
		{strings.Repeat("9", 200_000), -1}, {"\x1b]0;x\x07", -1},
	} {
		var rejected []string
		got := number(map[string]string{"minilb/weight": tc.value}, "minilb/weight", 255, &rejected)
		switch {
		case tc.want >= 0 && (got == nil || int(*got) != tc.want || rejected != nil):
			t.Errorf("%q: got %v, rejected %q", tc.value, got, rejected)
		case tc.want < 0 && (got != nil || len(rejected) != 1 || len(rejected[0]) > 200 || strings.ContainsAny(rejected[0], "\x1b\x07\n")):
			t.Errorf("%.20q: got %v, rejected %q", tc.value, got, rejected)
		}
	}
	var rejected []string
	if got := number(nil, "minilb/weight", 255, &rejected); got != nil || rejected != nil {
		t.Errorf("without the annotation: got %v, rejected %q", got, rejected)
	}
}
