package main

import (
	"maps"
	"testing"
)

const dnsperfOutput = `DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -s 127.0.0.1
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         20010
  Queries completed:    20000 (99.95%)
  Queries lost:         10 (0.05%)

  Response codes:       NOERROR 19000 (95.00%), NXDOMAIN 1000 (5.00%)
  Average packet size:  request 37, response 85
  Run time (s):         0.500113
  Queries per second:   39990.96
`

func TestParseDNSPerf(t *testing.T) {
	got, err := parseDNSPerf(dnsperfOutput)
	if err != nil || got.completed != 20000 || got.lost != 10 || got.seconds != 0.500113 || !maps.Equal(got.rcodes, map[string]int{"NOERROR": 19000, "NXDOMAIN": 1000}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := parseDNSPerf("[Error] could not resolve"); err == nil {
		t.Errorf("got %+v of an error", got)
	}
}

// What is answered with something else, or hardly at all, is not measured.
func TestAnswered(t *testing.T) {
	for _, tc := range []struct {
		name string
		answered
		ok bool
	}{
		{"all", answered{1000, 0, 1, map[string]int{"NOERROR": 1000}}, true},
		{"one of a thousand lost", answered{1000, 1, 1, map[string]int{"NOERROR": 1000}}, true},
		{"two of a thousand lost", answered{1000, 2, 1, map[string]int{"NOERROR": 1000}}, false},
		{"another rcode, too", answered{1000, 0, 1, map[string]int{"NOERROR": 999, "SERVFAIL": 1}}, false},
		{"another rcode", answered{1000, 0, 1, map[string]int{"REFUSED": 1000}}, false},
		{"none", answered{0, 0, 1, nil}, false},
	} {
		if err := tc.all("NOERROR"); (err == nil) != tc.ok {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}
