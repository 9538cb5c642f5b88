package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
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

// footprint is footprintOf the server, but that the memory is what is in use: how much is resident
// would tell when garbage was collected last, and not what is held.
func (w *soak) footprint() (footprint, error) {
	if code, _ := get("http://" + w.profiler + "/debug/pprof/heap?gc=1"); code != http.StatusOK {
		return footprint{}, fmt.Errorf("pprof: status %d", code)
	}
	f, err := footprintOf(w.s)
	_, metrics := get(w.s.prom)
	f.memory = int64(sum(metrics, "go_memstats_heap_inuse_bytes ") + sum(metrics, "go_memstats_stack_inuse_bytes "))
	if err == nil && f.memory == 0 {
		err = fmt.Errorf("the metrics do not tell of the memory")
	}
	return f, err
}
