package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MB is the unit in which memory is written.
const MB = 1e6

// measureMemory takes the memory of a server with the large data set as it comes to know it and
// after it has worked, and what changes cost it.
func (b *bench) measureMemory(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	s, err := b.serve("minilb", b.ours, b.profiled(minilb(large.namespace)))
	if err != nil {
		return err
	}
	c, err := b.contend(ctx, "minilb", s, large.questions())
	if err != nil {
		return err
	}
	synced, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	profiled := b.profileCPU(ctx, s, "queries")
	if _, _, err := c.load(ctx, "-n", strconv.Itoa(b.effort.queries/len(c.questions))); err != nil {
		return err
	}
	if err := profiled(); err != nil {
		return err
	}
	loaded, err := memoryOf(s.PID())
	if err != nil {
		return err
	}
	spent, rate, err := b.changesAlone(ctx, s)
	if err != nil {
		return err
	}
	after, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	if err := b.profileHeap(ctx, s); err != nil {
		return err
	}
	const name = "anonymous memory at 10,000 Services × 10, "
	b.report.add(figure{name: name + "after sync", unit: megabytes, must: 64, aim: 40, measured: float64(synced.anon) / MB})
	b.report.add(figure{
		name: name + fmt.Sprintf("after %d queries and %v of changes", b.effort.queries, b.effort.changes), unit: megabytes, must: 80, aim: 50, measured: float64(after.anon) / MB,
		detail: fmt.Sprintf("after the queries %.1f MB, with the binary at most %.1f MB", float64(loaded.anon)/MB, float64(after.peak)/MB),
	})
	b.report.add(figure{name: "CPU spent on 100 slice changes a second, of a core", unit: percent, must: 3, aim: 1, measured: 100 * spent, detail: fmt.Sprintf("at %.0f a second", rate)})
	if b.effort.slow {
		return b.peerMemory(ctx)
	}
	return nil
}

// peerMemory takes that of plugin kubernetes, with as many Services and endpoints.
func (b *bench) peerMemory(ctx context.Context) error {
	c, err := b.contendKubernetes(ctx, largeRef)
	if err != nil {
		return err
	}
	synced, err := b.settled(ctx, c.server)
	if err != nil {
		return err
	}
	if _, _, err := c.load(ctx, "-n", strconv.Itoa(b.effort.queries/len(c.questions))); err != nil {
		return err
	}
	after, err := b.settled(ctx, c.server)
	if err != nil {
		return err
	}
	b.report.note("anonymous memory of `kubernetes` at 10,000 × 10, after sync → after queries", "%.1f → %.1f MB", float64(synced.anon)/MB, float64(after.anon)/MB)
	return nil
}

// settled returns the memory of a server a while after it has done something.
func (b *bench) settled(ctx context.Context, s *server) (memory, error) {
	if err := wait(ctx, b.effort.settle); err != nil {
		return memory{}, err
	}
	return memoryOf(s.PID())
}

// changesAlone returns how much of a core the server takes to follow changes while nobody asks,
// and how many there were in a second.
func (b *bench) changesAlone(ctx context.Context, s *server) (spent, rate float64, err error) {
	used, err := b.usage(ctx, s.PID(), b.effort.idle/2)
	if err != nil {
		return 0, 0, err
	}
	changes := b.change(ctx, large, nil)
	profiled := b.profileCPU(ctx, s, "changes")
	busy, err := b.usage(ctx, s.PID(), b.effort.changes)
	rate, stopped := changes.stop()
	return busy - used, rate, firstError(err, profiled(), stopped)
}

// usage returns how much of a core a process uses.
func (b *bench) usage(ctx context.Context, pid int, span time.Duration) (float64, error) {
	began := time.Now()
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, span); err != nil {
		return 0, err
	}
	after, err := cpuTime(pid)
	return share(after-before, time.Since(began)), err
}

// measureRelist takes the peak of memory while the API server's whole state is listed again: it
// is ended and started again, and no longer knows what the server has seen last.
func (b *bench) measureRelist(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	ours := strings.Replace(minilb(large.namespace), "errors\n", "errors\nprometheus HTTP\n", 1)
	s, err := b.serve("minilb", b.ours, ours)
	if err != nil {
		return err
	}
	c, err := b.contend(ctx, "minilb", s, large.questions())
	if err != nil {
		return err
	}
	if _, _, err := c.load(ctx, "-n", strconv.Itoa(b.effort.queries/len(c.questions))); err != nil {
		return err
	}
	steady, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	allocated, err := s.allocated(ctx)
	if err != nil {
		return err
	}
	if err := resetPeak(s.PID()); err != nil {
		return err
	}
	if err := b.cluster.StopAPIServer(); err != nil {
		return err
	}
	if err := b.cluster.StartAPIServer(ctx); err != nil {
		return err
	}
	if err := s.relisted(ctx, allocated); err != nil {
		return err
	}
	after, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	peak := after.peak - after.file
	b.report.add(figure{
		name: "peak of anonymous memory while the whole state is listed again, against before", unit: times, must: 1.5, aim: 1.2,
		measured: float64(peak) / float64(steady.anon), detail: fmt.Sprintf("%.1f MB against %.1f, later %.1f", float64(peak)/MB, float64(steady.anon)/MB, float64(after.anon)/MB),
	})
	return nil
}

// listBytes is what a server allocates at least to read the large data set: each of 100,000
// endpoints once. A watch that goes on where it was takes next to nothing.
const listBytes = 8 << 20

// relisted waits until the server has read all there is again, after it had allocated so much.
func (s *server) relisted(ctx context.Context, before float64) error {
	for deadline := time.Now().Add(patience); ; {
		now, err := s.allocated(ctx)
		switch {
		case err != nil:
			return err
		case now > before+listBytes:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%v after the API server came back the state was not listed again: %.0f bytes allocated since", patience, now-before)
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// allocated returns how many bytes the server has allocated so far.
func (s *server) allocated(ctx context.Context) (float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "go_memstats_alloc_bytes_total "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return math.NaN(), fmt.Errorf("%s says nothing of what it has allocated", s.Name)
}

// get reads a page of what the server has at HTTP.
func (s *server) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %s: %s: %s", path, s.Name, response.Status, body)
	}
	return body, err
}
