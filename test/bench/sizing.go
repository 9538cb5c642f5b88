package main

import (
	"context"
	"fmt"
	"strings"
)

// measureSizing takes what a server needs for clusters of all sizes, as it is configured by
// default. It is the very last part, for the API server is slower after it.
func (b *bench) measureSizing(ctx context.Context) error {
	if !b.effort.slow {
		b.say("leaving it out: with -quick the million takes too long to create")
		return nil
	}
	for _, d := range []dataset{
		{namespace: "hundred", services: 100, endpoints: 1},
		{namespace: "ten-thousand", services: 1_000, endpoints: 10},
		{namespace: "million", services: 10_000, endpoints: 100},
	} {
		if err := b.seed(ctx, d); err != nil {
			return err
		}
		corefile := strings.Replace(minilb(d.namespace), "max_answers 0\n", "", 1)
		d.answers = min(d.endpoints, 16) // the default
		first, err := b.firstAnswer(ctx, "minilb", b.ours, corefile, d)
		if err != nil {
			return err
		}
		s, err := b.serve("minilb", b.ours, corefile)
		if err != nil {
			return err
		}
		c, err := b.contend(ctx, "minilb", s, d.questions())
		if err != nil {
			return err
		}
		synced, err := b.settled(ctx, s)
		if err != nil {
			return err
		}
		micros, _, err := c.load(ctx, "-n", fmt.Sprint(b.effort.queries/len(c.questions)))
		if err != nil {
			return err
		}
		after, err := b.settled(ctx, s)
		if err != nil {
			return err
		}
		b.report.note(fmt.Sprintf("%d endpoints of %d Services: first answer; memory after sync → after %d queries, peak with the binary; CPU per query", d.services*d.endpoints, d.services, b.effort.queries),
			"%.2f s; %.1f → %.1f MB, %.1f MB; %.1f µs", first, float64(synced.anon)/MB, float64(after.anon)/MB, float64(after.peak)/MB, micros)
		b.stopServers()
	}
	return nil
}
