package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// measureSizes takes the sizes of the binaries as they are released.
func (b *bench) measureSizes(context.Context) error {
	for _, binary := range []struct {
		name, path string
		must, aim  float64
	}{{"coredns", b.ours, 60, 45}, {"minilb", b.minilb, 40, 25}} {
		info, err := os.Stat(binary.path)
		if err != nil {
			return fmt.Errorf("measure the size of %s: %w", binary.name, err)
		}
		b.report.add(figure{name: "stripped static binary " + binary.name, unit: megabytes, must: binary.must, aim: binary.aim, measured: float64(info.Size()) / MB})
	}
	return nil
}

// measureStart takes the time from when a server is executed to its first right answer, with the
// large data set.
func (b *bench) measureStart(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	if b.effort.slow {
		if err := b.seed(ctx, largeRef); err != nil {
			return err
		}
	}
	var ours, peers []float64
	for range b.effort.starts {
		took, err := b.firstAnswer(ctx, "minilb", b.ours, minilb(large.namespace), large)
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if !b.effort.slow {
			continue
		}
		if took, err = b.firstAnswer(ctx, "kubernetes", b.stock, kubernetesCorefile(largeRef), largeRef); err != nil {
			return err
		}
		peers = append(peers, took)
	}
	b.report.add(figure{
		name: "first right answer after exec at 10,000 × 10", unit: seconds, must: 1.0, aim: 0.6, measured: median(ours),
		detail: fmt.Sprintf("of %d starts, %.2f at most", len(ours), percentile(ours, 100)),
	})
	if b.effort.slow {
		b.report.note("first right answer of `kubernetes` at 10,000 × 10", "%.2f s", median(peers))
	}
	return nil
}

func (b *bench) firstAnswer(ctx context.Context, name, binary, corefile string, d dataset) (float64, error) {
	s, err := b.serve(name, binary, corefile)
	if err != nil {
		return 0, err
	}
	if err := s.until(ctx, d.question(d.services-1)); err != nil {
		return 0, err
	}
	took := time.Since(s.started).Seconds()
	b.stopServers()
	return took, nil
}

// measureHomelab takes the memory and the idle CPU of a server with few Services.
func (b *bench) measureHomelab(ctx context.Context) error {
	if err := b.seed(ctx, homelab); err != nil {
		return err
	}
	s, err := b.serve("minilb", b.ours, minilb(homelab.namespace))
	if err != nil {
		return err
	}
	c, err := b.contend(ctx, "minilb", s, homelab.questions())
	if err != nil {
		return err
	}
	synced, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	idle, err := b.usage(ctx, s.PID(), b.effort.idle)
	if err != nil {
		return err
	}
	if _, _, err := c.load(ctx, "-n", fmt.Sprint(b.effort.queries/len(c.questions))); err != nil {
		return err
	}
	after, err := b.settled(ctx, s)
	if err != nil {
		return err
	}
	b.report.add(figure{name: "anonymous memory at 100 Services × 3, after sync", unit: megabytes, must: 16, aim: 11, measured: float64(synced.anon) / MB})
	b.report.add(figure{name: fmt.Sprintf("the same after %d queries", b.effort.queries), unit: megabytes, must: 16, aim: 11, measured: float64(after.anon) / MB})
	b.report.add(figure{name: "idle resolver, homelab size", unit: millicores, must: 1, measured: 1000 * idle, detail: fmt.Sprintf("over %v", b.effort.idle)})
	return nil
}
