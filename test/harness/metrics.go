package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Sum adds up the samples of those lines of metrics that begin with a text and contain others.
func Sum(metrics, prefix string, contain ...string) float64 {
	total := 0.0
lines:
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		for _, text := range contain {
			if !strings.Contains(line, text) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err == nil {
			total += value
		}
	}
	return total
}

// Grep returns the lines of metrics that contain the pattern.
func Grep(text, pattern string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, pattern) && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// Footprint is what a process holds.
type Footprint struct {
	Memory            int64 // of its own (RssAnon), in bytes
	Goroutines, Files int
}

func (f Footprint) String() string {
	return fmt.Sprintf("%.1f MB, %d goroutines and %d file descriptors", float64(f.Memory)/(1<<20), f.Goroutines, f.Files)
}

// FootprintOf reads what a server holds at present. Its Corefile has PROM.
func FootprintOf(s *CoreDNS) (Footprint, error) {
	pid := s.Cmd.Process.Pid
	f := Footprint{}
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
			f.Memory = kB << 10
		}
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return f, fmt.Errorf("read the file descriptors: %w", err)
	}
	f.Files = len(descriptors)
	_, metrics := Get(s.Prom)
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			if f.Goroutines, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return f, fmt.Errorf("read the goroutines: %w", err)
			}
		}
	}
	if f.Memory == 0 || f.Goroutines == 0 {
		return f, fmt.Errorf("it has %v: is it gone?", f)
	}
	return f, nil
}
