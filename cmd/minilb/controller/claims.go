package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// enableEvents makes the Controller write Events (S17). Hosts are checked as a DNS server with the options' plugin blocks does,
// from the same objects but endpoints.
func (c *Controller) enableEvents(claims *translator.Translators) error {
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name that events are written by: %w", err)
	}
	c.watch = claims.Run
	c.follow(c.cluster.LabelledServices(metav1.NamespaceAll))
	for _, options := range c.options.Claims {
		results := make(claimResults, 1)
		c.results = append(c.results, results)
		translator.NewClaims(claims, options, results.put)
	}
	c.recorder = events.New(c.client, c.exists, printable.Cut(cmp.Or(instance, fieldManager), 128), c.scan.delay, c.log)
	return nil
}

// exists asks for Services, as those that are not of type LoadBalancer any more are not watched.
func (c *Controller) exists(ctx context.Context, p *events.Problem) (bool, error) {
	if p.Kind == "Service" {
		return serviceExists(ctx, c.client, cache.NewObjectName(p.Namespace, p.Name), p.UID, false)
	}
	return c.cluster.There(p.Kind, p.Namespace, p.Name, p.UID), nil
}

// claimResults holds the latest problems of one plugin block that were not taken yet.
type claimResults chan []object.Problem

// put replaces problems that were not taken. It never blocks, as long as one goroutine calls it.
func (r claimResults) put(problems []object.Problem) {
	select {
	case <-r:
	default:
	}
	r <- problems
}

// recordPause is the pause after results were recorded: changes coalesce meanwhile.
const recordPause = time.Second

// recordClaims records the problems of one plugin block's claims until ctx ends.
func (c *Controller) recordClaims(ctx context.Context, source string, results claimResults) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case latest := <-results:
			c.recorder.Replace(source, claimProblems(latest))
		}
	}, recordPause)
}

// claimProblems returns the problems with one of reasons.OfClaims, in the same order in all controllers: of too many all
// report the same.
func claimProblems(all []object.Problem) []events.Problem {
	texts := map[events.Problem][]string{} // by the problem with the fix as its note
	for _, p := range all {
		reason, is := reasons.OfClaims[p.Reason]
		if !is {
			continue
		}
		of := events.Problem{
			Kind: p.Ref.Kind, Namespace: p.Ref.Namespace, Name: p.Ref.Name, UID: p.Ref.UID, Generation: p.Ref.Generation,
			Reason: reason.Name, Note: reason.Fix, Normal: p.Reason == object.ReasonNotice, Unknown: p.Reason == object.ReasonUnread,
		}
		texts[of] = append(texts[of], p.Text)
	}
	var problems []events.Problem
	for of, lines := range texts {
		problems = append(problems, of.Each(lines, of.Note)...)
	}
	slices.SortFunc(problems, func(a, b events.Problem) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name),
			strings.Compare(a.Reason, b.Reason), strings.Compare(a.Aspect, b.Aspect), strings.Compare(a.Note, b.Note))
	})
	return problems
}

// lineLog implements the informer.Logger interface.
type lineLog struct {
	log           *slog.Logger
	info, warning slog.Level
	prefix        string // of warnings
}

func (l lineLog) Infof(format string, args ...any) {
	l.log.Log(context.Background(), l.info, fmt.Sprintf(format, args...))
}

func (l lineLog) Warningf(format string, args ...any) {
	l.log.Log(context.Background(), l.warning, l.prefix+fmt.Sprintf(format, args...))
}
