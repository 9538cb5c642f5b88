//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/harness"
)

// Readiness changes ten times a second, to and fro between two pods, and of a third one, too. Two
// are never unready at once but for the third, so that no answer is empty, and the name server
// hardly works for it.
func TestFlapping(t *testing.T) {
	l := theLab(t)
	name, pods, server := l.startWeb(t, "ttl 0")
	l.addRoutes(t, l.Router)
	requesting := request(t, pace, name, l.oneAddress(patience))
	asking := request(t, pace/4, name, l.askOnly)

	changes := 40
	if harness.Full {
		changes = 100
	}
	const rest = 2 * time.Second
	calm := cpuTime(t, server.PID(), func() { time.Sleep(rest) })
	began := time.Now()
	flapping := cpuTime(t, server.PID(), func() {
		ticker := time.NewTicker(time.Second / 10)
		defer ticker.Stop()
		for n := range changes {
			// The first becomes unready and ready again, then the second.
			must(t, pods[n/2%2].setReady(t.Context(), n%2 == 1))
			must(t, pods[2].setReady(t.Context(), n%2 == 1))
			<-ticker.C
		}
	})
	lasted := time.Since(began)
	expectNoFailure(t, requesting)
	expectNoFailure(t, asking)
	share := func(d, of time.Duration) float64 { return 100 * d.Seconds() / of.Seconds() }
	extra := share(flapping, lasted) - share(calm, rest)
	t.Logf("%d times in %v the readiness of two pods changed: %.1f %% of a core, beside %.1f %% for the queries",
		changes, lasted.Round(time.Second/10), extra, share(calm, rest))
	if extra > 10 {
		t.Errorf("they cost the server %.1f %% of a core, want 10 %% at most", extra)
	}
}

// askOnly is a client that fails if an answer is empty, and connects to nobody.
func (l *lab) askOnly(ctx context.Context, name, family string) (greeting, error) {
	answer, err := l.resolve(ctx, name, family)
	if err == nil && len(answer.addresses) == 0 {
		err = errNoAddress
	}
	return greeting{}, err
}

// userHZ is the unit of the times in proc_pid_stat(5), in which Linux counts for all programs.
const userHZ = 100

// cpuTime returns the CPU time that a process takes while f runs, in steps of 10 ms.
func cpuTime(t *testing.T, pid int, f func()) time.Duration {
	t.Helper()
	now := func() time.Duration {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		must(t, err)
		// The name of the program, in parentheses, may have spaces; what follows has none.
		_, rest, _ := strings.Cut(string(text), ") ")
		var sum time.Duration
		for _, field := range strings.Fields(rest)[11:13] { // utime, stime
			n, err := strconv.Atoi(field)
			must(t, err)
			sum += time.Duration(n) * time.Second / userHZ
		}
		return sum
	}
	before := now()
	f()
	return now() - before
}
