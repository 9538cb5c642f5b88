package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const after = " S 1 1 1 0 -1 4194560 7 8 9 10 123 45 6 7 20 0 12 0 99 1 2"
	for _, tc := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"4711 (coredns)" + after, 1680 * time.Millisecond, true},
		{"4711 (a) b (c)" + after, 1680 * time.Millisecond, true}, // a name may contain anything
		{"4711 (coredns) S 1 1", 0, false},
		{"4711 (coredns) S 1 1 1 0 -1 4194560 7 8 9 10 x 45", 0, false},
		{"", 0, false},
	} {
		got, err := parseStat(tc.text)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q: got %v, %v, want %v, error %v", tc.text, got, err, tc.want, !tc.ok)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for _, tc := range []struct {
		text string
		want memory
		ok   bool
	}{
		{"Name:\tcoredns\nVmHWM:\t  300 kB\nVmRSS:\t 250 kB\nRssAnon:\t  200 kB\nRssFile:\t   50 kB\n", memory{anon: 200 << 10, file: 50 << 10, peak: 300 << 10}, true},
		{"VmHWM:\t  300 kB\nRssAnon:\t  200 kB\n", memory{}, false}, // of a kernel thread, or a zombie
		{"VmHWM:\t  300 MB\n", memory{}, false},
		{"RssAnon:\t  lots kB\n", memory{}, false},
	} {
		got, err := parseStatus(tc.text)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q: got %v, %v, want %v, error %v", tc.text, got, err, tc.want, !tc.ok)
		}
	}
}

// What the kernel says of ourselves can be read.
func TestProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	m, err := memoryOf(os.Getpid())
	if err != nil || m.anon < 1<<20 || m.peak < m.anon {
		t.Errorf("memory: got %+v, %v", m, err)
	}
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Errorf("CPU time: %v", err)
	}
	if _, err := memoryOf(-1); err == nil {
		t.Error("a process that there is not has memory")
	}
}
