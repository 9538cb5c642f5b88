package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// changeRate is how many EndpointSlices change in a second.
	changeRate = 100

	// changers is how many change them, each as often as the others.
	changers = 4
)

// changing is slices that change, each time to something new.
type changing struct {
	cancel  context.CancelFunc
	done    sync.WaitGroup
	began   time.Time
	written atomic.Int64
	failed  atomic.Pointer[error]
}

// change lets slices of the data set change at changeRate until stop is called. After each write
// observe, unless it is nil, is given the question whose answer has what was written.
func (b *bench) change(ctx context.Context, d dataset, observe func(changer int, q question) error) *changing {
	going, cancel := context.WithCancel(ctx) // not the writes, of which each is to end as it may
	c := &changing{cancel: cancel, began: time.Now()}
	for w := range changers {
		c.done.Go(func() {
			ticker := time.NewTicker(time.Second * changers / changeRate)
			defer ticker.Stop()
			for n := 0; ; n++ {
				select {
				case <-ticker.C:
				case <-going.Done():
					return
				}
				i := (n*changers*7 + w) % d.services
				slice := d.slice(i, int(b.changed.Add(1)))
				_, err := b.client.DiscoveryV1().EndpointSlices(d.namespace).Update(ctx, slice, metav1.UpdateOptions{})
				if err == nil && observe != nil {
					q := d.question(i)
					q.has = slice.Endpoints[d.endpoints-1].Addresses[0]
					err = observe(w, q)
				}
				if err != nil {
					err = fmt.Errorf("change an EndpointSlice: %w", err)
					c.failed.Store(&err)
					return
				}
				c.written.Add(1)
			}
		})
	}
	return c
}

// stop ends the changes and returns how many there were in a second.
func (c *changing) stop() (rate float64, err error) {
	span := time.Since(c.began)
	c.cancel()
	c.done.Wait()
	if failed := c.failed.Load(); failed != nil {
		return 0, *failed
	}
	rate = float64(c.written.Load()) / span.Seconds()
	if rate < changeRate/2 {
		return rate, fmt.Errorf("only %.0f of %d changes a second were written: is the machine busy with other things?", rate, changeRate)
	}
	return rate, nil
}

// measureChanges compares the CPU time of a query while slices change with that at rest.
func (b *bench) measureChanges(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	ours, err := b.contendMinilb(ctx, large)
	if err != nil {
		return err
	}
	hosts, err := b.contendHosts(ctx, "hosts of ours", b.ours, large)
	if err != nil {
		return err
	}
	rest := []*contender{ours, hosts}
	var busy []*contender
	for _, c := range rest {
		again := *c
		busy = append(busy, &again)
	}
	if err := warm(ctx, rest...); err != nil {
		return err
	}
	for range b.effort.rounds {
		for _, c := range rest {
			if err := c.round(ctx, b.effort.load); err != nil {
				return err
			}
		}
		changes := b.change(ctx, large, nil)
		for _, c := range busy {
			if err := c.round(ctx, b.effort.load); err != nil {
				changes.stop()
				return err
			}
		}
		if _, err := changes.stop(); err != nil {
			return err
		}
	}
	b.compare("CPU per query while 100 slices a second change at 10,000 × 10, against at rest", 1.10, 1.03, busy[0], rest[0])
	b.report.note("the same for `hosts`, which takes no notice of them", "%.2f ×", median(ratios(busy[1].micros, rest[1].micros)))
	return nil
}

// measureSlices takes the time from when the API server acknowledges the change of a slice to the
// first answer that has it.
func (b *bench) measureSlices(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	s, err := b.serve("minilb", b.ours, minilb(large.namespace))
	if err != nil {
		return err
	}
	if _, err := b.contend(ctx, "minilb", s, large.questions()); err != nil {
		return err
	}
	var took [changers][]float64
	changes := b.change(ctx, large, func(changer int, q question) error {
		acknowledged := time.Now()
		err := s.until(ctx, q)
		took[changer] = append(took[changer], inMillis(time.Since(acknowledged)))
		return err
	})
	waited := wait(ctx, b.effort.changes)
	rate, err := changes.stop()
	if err := firstError(waited, err); err != nil {
		return err
	}
	var all []float64
	for _, t := range took {
		all = append(all, t...)
	}
	detail := fmt.Sprintf("p90 %.2f ms, of %d writes at %.0f a second", percentile(all, 90), len(all), rate)
	const name = "slice write acknowledged → answered at that load, "
	b.report.add(figure{name: name + "p50", unit: millis, must: 1.5, measured: percentile(all, 50), detail: detail})
	b.report.add(figure{name: name + "p99", unit: millis, must: 5, aim: 2, measured: percentile(all, 99)})
	return nil
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// absent is a question for a name that nobody answers: one of ours does not exist, any other is
// passed on, where nobody is.
func absent(name string, ours bool) question {
	q := question{name: name, qtype: dns.TypeA, rcode: dns.RcodeRefused}
	if ours {
		q.rcode = dns.RcodeNameError
	}
	return q
}
