package main

import (
	"strings"
	"testing"
)

// The events of one run: a package that passes with a test skipped, one that fails, one that dies
// amid a test, one that does not compile.
const events = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"    good_test.go:1: not of interest\n"}
{"Action":"pass","Package":"p","Test":"TestGood","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestLinux"}
{"Action":"output","Package":"p","Test":"TestLinux","Output":"=== RUN   TestLinux\n"}
{"Action":"output","Package":"p","Test":"TestLinux","Output":"    linux_test.go:7: dig is not installed: apt-get install bind9-dnsutils\n"}
{"Action":"output","Package":"p","Test":"TestLinux","Output":"--- SKIP: TestLinux (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestLinux","Elapsed":0}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p","Elapsed":0.1}
`

const failure = `{"Action":"run","Package":"q","Test":"TestBad"}
{"Action":"output","Package":"q","Test":"TestBad","Output":"    bad_test.go:3: got 1, want 2\n"}
{"Action":"output","Package":"q","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"q","Test":"TestBad"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
`

const death = `{"Action":"run","Package":"r","Test":"TestDies"}
{"Action":"output","Package":"r","Test":"TestDies","Output":"panic: out of time\n"}
{"Action":"output","Package":"r","Output":"FAIL\tr\t0.1s\n"}
{"Action":"fail","Package":"r"}
`

const uncompiled = `{"Action":"build-output","ImportPath":"s","Output":"s.go:1: undefined: x\n"}
{"Action":"build-fail","ImportPath":"s"}
{"Action":"output","Package":"s","Output":"FAIL\ts [build failed]\n"}
{"Action":"fail","Package":"s"}
`

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		ok           bool
		want         []string // in this order
		not          []string
	}{
		{"all is well", events, true,
			[]string{"ok  \tp\t0.1s\n", "\nskipped:\n  dig is not installed: apt-get install bind9-dnsutils\n    p TestLinux\n"},
			[]string{"not of interest", "PASS"}},
		{"a test fails", events + failure, false, []string{"ok  \tp", "bad_test.go:3: got 1, want 2\n--- FAIL: TestBad", "FAIL\tq", "p TestLinux"}, []string{"not of interest"}},
		{"a package dies", events + death, false, []string{"panic: out of time"}, nil},
		{"a package does not compile", events + uncompiled, false, []string{"s.go:1: undefined: x", "FAIL\ts [build failed]"}, nil},
		{"no event", "go: cannot find main module\n" + events, true, []string{"go: cannot find main module\n", "ok  \tp"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := summarize(strings.NewReader(tt.events), &out)
			if ok != tt.ok || err != nil {
				t.Errorf("got %v, %v, want %v", ok, err, tt.ok)
			}
			rest := out.String()
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("%q is missing, or not in order, in:\n%s", want, out.String())
				}
				rest = after
			}
			for _, not := range tt.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q is in:\n%s", not, out.String())
				}
			}
		})
	}
}

func TestSummarizeNothing(t *testing.T) {
	if ok, err := summarize(strings.NewReader(""), &strings.Builder{}); ok || err == nil {
		t.Errorf("of no test at all: got %v, %v, want an error", ok, err)
	}
}
