package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on each of Go's architectures.
const tick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has used, its own and the system's for it.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return parseStat(string(text))
}

// parseStat reads utime and stime, the fields 14 and 15 of /proc/PID/stat (proc(5)). The second
// field is the program's name in parentheses, which may contain anything.
func parseStat(text string) (time.Duration, error) {
	_, rest, found := cutLast(text, ")")
	fields := strings.Fields(rest) // from the third on
	if !found || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat is %q, want at least 15 fields", text)
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// memory is what a process has in RAM, in bytes.
type memory struct {
	anon int64 // RssAnon: what is its own
	file int64 // RssFile: of its binary, which can be read again
	peak int64 // VmHWM: the most that both have been together
}

// memoryOf reads the memory of a process.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory: %w", err)
	}
	return parseStatus(string(text))
}

func parseStatus(text string) (memory, error) {
	var m memory
	missing := map[string]*int64{"RssAnon": &m.anon, "RssFile": &m.file, "VmHWM": &m.peak}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		into := missing[key]
		if into == nil {
			continue
		}
		number, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		kB, err := strconv.ParseInt(number, 10, 64)
		if err != nil || !isKB {
			return memory{}, fmt.Errorf("/proc/PID/status: %s is %q, want a number of kB", key, value)
		}
		*into = kB << 10
		delete(missing, key)
	}
	if len(missing) > 0 {
		return memory{}, fmt.Errorf("/proc/PID/status has not all of RssAnon, RssFile and VmHWM: is the process gone?")
	}
	return m, nil
}

// resetPeak lets VmHWM begin anew (proc(5), clear_refs).
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of memory: %w", err)
	}
	return nil
}

// share returns how much of a core, 1 for all of it, CPU time is in a span of time.
func share(cpu, span time.Duration) float64 { return cpu.Seconds() / span.Seconds() }
