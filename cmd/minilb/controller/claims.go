package controller

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/source"
)

// WriteEvents lets the Controller write Events of what is wrong with objects (S17), which it does
// not without. Claims on hosts are judged as a DNS server with these stanzas does, by reading what it
// reads but for endpoints. It is called before Run.
func (c *Controller) WriteEvents(config *rest.Config, stanzas []config.Options) error {
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name that events are written by: %w", err)
	}
	events := c.client.EventsV1()
	settingUp, err := time.ParseDuration(becoming)
	if err != nil {
		return fmt.Errorf("patience with hosts: %w", err)
	}
	if c.sweeps.delay, err = time.ParseDuration(sweepDelay); err != nil {
		return fmt.Errorf("delay of sweeps: %w", err)
	}
	c.recorder = newRecorder(func(ctx context.Context, event *eventsv1.Event) error {
		_, err := events.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: fieldManager})
		return err
	}, c.mayWriteEvents, c.isThere, printable.Cut(cmp.Or(instance, fieldManager), 128), settingUp, c.log)
	if c.claims, err = source.NewWatcher(config, claimsLog{c.log}); err != nil {
		return err
	}
	c.claims.LogShared(toldLog{c.log})
	for i, options := range stanzas {
		source.NewClaims(c.claims, options, source.Hooks{OnResolved: c.record(fmt.Sprintf("claims %d", i))})
	}
	return nil
}

// mayWriteEvents asks the API server whether our account may write Events in a namespace.
func (c *Controller) mayWriteEvents(ctx context.Context, namespace string) bool {
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "create", Group: eventsv1.GroupName, Resource: "events",
		}},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed
}

// isThere reports whether an object is there that an Event was about: of Services those alone are watched that may be
// ours, and the watch of claims has the others.
func (c *Controller) isThere(ctx context.Context, object *corev1.ObjectReference) (bool, error) {
	if object.Kind != "Service" {
		return c.claims.There(object.Kind, object.Namespace, object.Name, object.UID), nil
	}
	list, err := c.client.CoreV1().Services(object.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, object.Name).String(),
	})
	return err == nil && slices.ContainsFunc(list.Items, func(now corev1.Service) bool {
		return now.UID == object.UID && now.DeletionTimestamp == nil
	}), err
}

// record returns what records under the topic how claims were resolved.
func (c *Controller) record(topic string) func(iter.Seq[claim.Result]) {
	return func(verdicts iter.Seq[claim.Result]) {
		c.recorder.replace(topic, findingsOf(verdicts))
		select { // nobody is in a hurry: changes coalesce
		case <-c.stopping:
		case <-time.After(judging):
		}
	}
}

// judging is the pause after all claims were looked at.
const judging = time.Second

// claimReasons are the reasons of Events about claims, and what to do. What is not among them is no
// matter of the object: the claim counts.
var claimReasons = map[object.Reason]struct{ reason, fix string }{
	object.ReasonConflict:   {reasonHostConflict, "choose another host, or have the other claim removed"},
	object.ReasonReserved:   {reasonHostReserved, "choose a host that lies below the namespace's own name there, or outside of the zone"},
	object.ReasonWithheld:   {reasonHostReserved, "choose another host, or have the line added"},
	object.ReasonNotAllowed: {reasonHostNotAllowed, "choose another host, or have the namespace added to the claim line"},
	object.ReasonInvalid:    {reasonInvalidHost, "correct it, hosts beside it are served"},
	object.ReasonTooMany:    {reasonTooManyHosts, "remove some, or spread them over more objects and namespaces"},
	object.ReasonAddress:    {reasonInvalidObject, "have its controller publish an address that clients can reach"},
	object.ReasonUnlisted:   {reasonInvalidObject, "have its controller publish an address of such a network, or have the network added"},
	object.ReasonALPN:       {reasonInvalidObject, "list protocols such as h2 and http/1.1, separated by commas"},
	object.ReasonEndpoint:   {reasonInvalidObject, "mend what writes the EndpointSlice"},
	object.ReasonObject:     {reasonInvalidObject, "correct the field"},
	object.ReasonNoTarget:   {reasonHostNotServed, ""}, // the text has it
	object.ReasonUnread:     {reasonHostNotServed, ""},
	object.ReasonNotice:     {reasonHostNotice, ""},
	object.ReasonAnnotation: {reasonAnnotationIgnored, ""},
}

// findingsOf makes a finding of each thing that is wrong with an object, but of more than some for one
// reason one of all the others.
func findingsOf(verdicts iter.Seq[claim.Result]) []finding {
	type topic struct {
		about finding
		fix   string
	}
	texts := map[topic][]string{}
	for v := range verdicts {
		reason, known := claimReasons[v.Reason]
		if !known {
			continue
		}
		of := topic{finding{
			kind: v.Kind, namespace: v.Namespace, name: v.Name, uid: v.UID, generation: v.Generation,
			reason: reason.reason, normal: v.Reason == object.ReasonNotice, unsure: v.Reason == object.ReasonUnread,
		}, reason.fix}
		texts[of] = append(texts[of], v.Text)
	}
	var findings []finding
	for of, all := range texts {
		findings = append(findings, of.about.each(all, of.fix)...)
	}
	slices.SortFunc(findings, func(a, b finding) int { // of too many, the same are told of in all controllers
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.kind, b.kind), strings.Compare(a.name, b.name),
			strings.Compare(a.reason, b.reason), strings.Compare(a.aspect, b.aspect), strings.Compare(a.note, b.note))
	})
	return findings
}

// claimsLog tells of kinds that cannot be read, once each.
type claimsLog struct{ log *slog.Logger }

// Infof implements the source.Logger interface.
func (l claimsLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

// Warningf implements the source.Logger interface.
func (l claimsLog) Warningf(format string, args ...any) {
	l.log.Info("no events of some hosts: " + fmt.Sprintf(format, args...)) // statuses are written all the same
}

// Errorf implements the source.Logger interface.
func (l claimsLog) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

// toldLog is for what is said of the API server and of Services, of which the controller's own watch tells.
type toldLog struct{ log *slog.Logger }

// Infof implements the source.Logger interface.
func (l toldLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

// Warningf implements the source.Logger interface.
func (l toldLog) Warningf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

// Errorf implements the source.Logger interface.
func (l toldLog) Errorf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
