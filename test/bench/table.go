package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
)

// report is what has been measured.
type report struct {
	figures []figure
	asides  []aside
}

// figure is something measured that has bounds.
type figure struct {
	name      string
	unit      unit
	must, aim float64 // NaN, or 0, for none
	measured  float64
	detail    string // how it came about
}

// aside is something measured that has none: what others need for the same.
type aside struct{ name, measured string }

// unit says how a figure is written.
type unit string

const (
	times      unit = "%.2f ×"
	megabytes  unit = "%.1f MB"
	millis     unit = "%.2f ms"
	seconds    unit = "%.2f s"
	percent    unit = "%.2f %%"
	millicores unit = "%.2f millicores"
)

func (u unit) format(value float64) string { return fmt.Sprintf(string(u), value) }

// bound writes one of a figure's bounds, without digits that say nothing.
func (u unit) bound(value float64) string {
	if value == 0 || math.IsNaN(value) {
		return ""
	}
	format := string(u)
	for _, verb := range []string{"%.1f", "%.2f"} {
		if u != times {
			format = strings.Replace(format, verb, "%g", 1)
		}
	}
	return "≤ " + fmt.Sprintf(format, value)
}

// verdict compares a figure, as it is written, with its bounds.
func (f figure) verdict() string {
	measured := f.rounded()
	switch {
	case math.IsNaN(measured):
		return "not measured"
	case f.aim > 0 && measured <= f.aim:
		return "aim reached"
	case f.must > 0 && measured <= f.must:
		return "reached"
	case f.must > 0:
		return "**missed**"
	case f.aim > 0:
		return "aim missed"
	}
	return ""
}

// rounded is the figure to as many digits as are shown: what reads as the bound is within it.
func (f figure) rounded() float64 {
	digits := 100.0
	if f.unit == megabytes {
		digits = 10
	}
	return math.Round(f.measured*digits) / digits
}

func (r *report) add(f figure) { r.figures = append(r.figures, f) }

func (r *report) note(name, format string, args ...any) {
	r.asides = append(r.asides, aside{name, fmt.Sprintf(format, args...)})
}

// print writes the report in Markdown.
func (r *report) print(out io.Writer) {
	if len(r.figures) > 0 {
		fmt.Fprintln(out, "| figure | must | aim | measured | verdict |\n|---|---|---|---|---|")
	}
	for _, f := range r.figures {
		measured := f.unit.format(f.measured)
		if math.IsNaN(f.measured) {
			measured = "—"
		}
		if f.detail != "" {
			measured += " (" + f.detail + ")"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", f.name, f.unit.bound(f.must), f.unit.bound(f.aim), measured, f.verdict())
	}
	if len(r.asides) > 0 {
		fmt.Fprintln(out, "\n| beside it | measured |\n|---|---|")
	}
	for _, a := range r.asides {
		fmt.Fprintf(out, "| %s | %s |\n", a.name, a.measured)
	}
	if len(r.figures)+len(r.asides) > 0 {
		fmt.Fprintf(out, "\n%s, %d CPUs, %s%s.\n", processor(), runtime.NumCPU(), runtime.Version(), load())
	}
}

// processor returns the name of the CPU.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// load returns what else there was to do: ours is less than two.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return ", load average " + strings.Join(strings.Fields(string(text))[:3], " ")
}
