package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
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
	c.claims = claims
	for _, options := range c.options.Claims {
		results := make(claimResults, 1)
		c.results = append(c.results, results)
		translator.NewClaims(c.claims, options, results.put)
	}
	c.recorder, err = events.New(&eventsAPI{c.client, c.claims}, printable.Cut(cmp.Or(instance, fieldManager), 128), c.log)
	return err
}

// eventsAPI implements the events.API interface.
type eventsAPI struct {
	client kubernetes.Interface
	claims *translator.Translators
}

func (a *eventsAPI) CreateEvent(ctx context.Context, event *eventsv1.Event) error {
	_, err := a.client.EventsV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: fieldManager})
	return err
}

func (a *eventsAPI) MayCreateEvents(ctx context.Context, namespace string) bool {
	review, err := a.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "create", Group: eventsv1.GroupName, Resource: "events",
		}},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed
}

// Exists asks for Services, as those that are not of type LoadBalancer any more are not watched.
func (a *eventsAPI) Exists(ctx context.Context, object *corev1.ObjectReference) (bool, error) {
	if object.Kind == "Service" {
		return serviceExists(ctx, a.client, cache.NewObjectName(object.Namespace, object.Name), object.UID, false)
	}
	return a.claims.There(object.Kind, object.Namespace, object.Name, object.UID), nil
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

// runWatches watches the cluster and checks claims until ctx ends.
func (c *Controller) runWatches(ctx context.Context) {
	if c.claims == nil {
		c.cluster.Run(ctx)
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	for i, results := range c.results {
		running.Go(func() { c.recordClaims(ctx, fmt.Sprintf("claims %d", i), results) })
	}
	c.claims.Run(ctx)
}

// recordPause is the pause after results were recorded: changes coalesce meanwhile.
const recordPause = time.Second

// recordClaims records the problems of one plugin block's claims until ctx ends.
func (c *Controller) recordClaims(ctx context.Context, source string, results claimResults) {
	for {
		select {
		case <-ctx.Done():
			return
		case latest := <-results:
			c.recorder.Replace(source, claimProblems(latest))
		}
		if !sleep(ctx, recordPause) {
			return
		}
	}
}

// claimProblems returns the problems with one of reasons.OfClaims, in the same order in all controllers: of too many all
// report the same.
func claimProblems(all []object.Problem) []events.Problem {
	type group struct {
		problem events.Problem
		fix     string
	}
	texts := map[group][]string{}
	for _, p := range all {
		reason, is := reasons.OfClaims[p.Reason]
		if !is {
			continue
		}
		of := group{events.Problem{
			Kind: p.Ref.Kind, Namespace: p.Ref.Namespace, Name: p.Ref.Name, UID: p.Ref.UID, Generation: p.Ref.Generation,
			Reason: reason.Name, Normal: p.Reason == object.ReasonNotice, Unknown: p.Reason == object.ReasonUnread,
		}, reason.Fix}
		texts[of] = append(texts[of], p.Text)
	}
	var problems []events.Problem
	for of, lines := range texts {
		problems = append(problems, of.problem.Each(lines, of.fix)...)
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
