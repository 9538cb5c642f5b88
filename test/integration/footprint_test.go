package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// footprint is what a process holds.
type footprint struct {
	memory            int64 // of its own (RssAnon), in bytes
	goroutines, files int
}

func (f footprint) String() string {
	return fmt.Sprintf("%.1f MB, %d goroutines and %d file descriptors", float64(f.memory)/(1<<20), f.goroutines, f.files)
}

// footprintOf reads what a server holds at present. Its Corefile has PROM.
func footprintOf(s *coredns) (footprint, error) {
	pid := s.cmd.Process.Pid
	f := footprint{}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return f, fmt.Errorf("read the memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return f, fmt.Errorf("read the memory: %w", err)
			}
			f.memory = kB << 10
		}
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return f, fmt.Errorf("read the file descriptors: %w", err)
	}
	f.files = len(descriptors)
	_, metrics := get(s.prom)
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			if f.goroutines, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return f, fmt.Errorf("read the goroutines: %w", err)
			}
		}
	}
	if f.memory == 0 || f.goroutines == 0 {
		return f, fmt.Errorf("it has %v: is it gone?", f)
	}
	return f, nil
}

// footprint is footprintOf the server after a while.
func (w *soak) footprint(after time.Duration) footprint {
	w.Helper()
	time.Sleep(after)
	f, err := footprintOf(w.s)
	must(w.T, err)
	return f
}
