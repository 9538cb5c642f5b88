package object

import (
	"slices"
	"strings"
	"testing"
)

// D51: protocols come from the annotation alone; what is none costs itself.
func TestParseALPN(t *testing.T) {
	many := strings.Repeat("p", 255)
	for _, tc := range []struct {
		list    string
		want    []string
		refused int
	}{
		{"", nil, 0},
		{" h2 ,http/1.1,, h2", []string{"h2", "http/1.1"}, 0},
		{"!,~,\x7f", []string{"!", "~"}, 1}, // the first and the last of what is printed
		{"h3,h\x002,h 2,hé,\"h2\",a\\b," + many + "," + many + "p", []string{"h3", many}, 6},
		{strings.Repeat("h 2,", 10_000), nil, maxProtocols + 1},
		{"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"}, 1},
	} {
		got, refused := parseALPN(tc.list)
		if !slices.Equal(got, tc.want) || len(refused) != tc.refused {
			t.Errorf("%q: got %q, refused %q", tc.list, got, refused)
		}
		if len(refused) > maxProtocols+1 {
			t.Errorf("%d lines of one annotation", len(refused))
		}
		for _, text := range refused {
			if strings.ContainsAny(text, "\x00\n") || len(text) > 200 {
				t.Errorf("%q: unfit for a log: %q", tc.list, text)
			}
		}
	}
}
