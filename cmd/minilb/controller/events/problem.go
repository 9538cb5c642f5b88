// Package events writes an Event of each problem that is found in the cluster, once for as long as the problem lasts, and
// another one when it is resolved (S17).
package events

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// The reasons of Events (S17), beside those of lb.UnsupportedFields and reasons.OfClaims. Scripts may depend on them.
const (
	StatusUpdated      = "StatusUpdated"      // Normal
	StatusConflict     = "StatusConflict"     // S12
	TargetPortMismatch = "TargetPortMismatch" // S5
	NoRoutableEndpoint = "NoRoutableEndpoint" // R3
	NoEndpoints        = "NoEndpoints"        // D18
	NoDrainTime        = "NoDrainTime"        // L9, Normal
	WrongClass         = "WrongClass"         // S6
	HostNotServed      = "HostNotServed"      // M2
	AnnotationIgnored  = "AnnotationIgnored"
	Resolved           = "Resolved" // Normal
)

// Problem is a fact about an object that its owner should know.
type Problem struct {
	Kind, Namespace, Name string
	UID                   types.UID
	Generation            int64
	Reason                string
	Note                  string // one sentence, with what to do
	Aspect                string // identifies the problem among those of its reason; "" for the note
	Normal                bool   // nothing needs to be fixed
	Unknown               bool   // not a problem: whether those of its reason persist cannot be found out now

	round int // how often the reason was resolved before
}

const (
	reportingController = "minilb.io/controller"
	maxNote             = 1024 // bytes, the API server's limit
	maxName             = 200  // leaves room for the hash in the 253 characters of an Event's name
)

// key identifies an Event, alike in every controller and after a restart: by the object, its generation, the reason and the
// note, as not every change has a generation.
func (p *Problem) key() string {
	aspect := cmp.Or(p.Aspect, "\x00"+p.Note)
	if p.round > 0 {
		aspect += fmt.Sprintf("\x00%d", p.round)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%s\x00%s\x00%d\x00%s\x00%s", p.Kind, p.Namespace, p.Name, p.UID, p.Generation, p.Reason, aspect)
	return hex.EncodeToString(sum.Sum(nil)[:10])
}

func (p *Problem) eventNamespace() string { return cmp.Or(p.Namespace, metav1.NamespaceDefault) }

// maxOfReason is how many problems of one reason an object has each in an Event of its own.
const maxOfReason = 5

// Each returns p with each of the texts and the fix as its note, and beyond five of them one that counts all. A text
// that is added or removed does not change the others.
func (p Problem) Each(texts []string, fix string) []Problem {
	if fix != "" {
		fix = "; " + fix
	}
	texts = slices.Compact(slices.Sorted(slices.Values(texts)))
	var all []Problem
	for _, text := range texts[:min(maxOfReason, len(texts))] {
		text = strings.ToUpper(text[:1]) + text[1:]
		p.Note = printable.Cut(printable.Line(text), maxNote-len(fix)) + fix
		all = append(all, p)
	}
	if len(texts) > maxOfReason {
		p.Note, p.Aspect = fmt.Sprintf("There are more of these than Events: \"minilb check\" lists all %d", len(texts)), "more"
		all = append(all, p)
	}
	return all
}

// event returns the problem as an Event that is reported by instance.
func (p *Problem) event(instance string, now time.Time) *eventsv1.Event {
	eventType := corev1.EventTypeWarning
	if p.Normal {
		eventType = corev1.EventTypeNormal
	}
	name := p.Name[:min(len(p.Name), maxName)]
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: p.eventNamespace(), Name: strings.TrimRight(name, ".-") + "." + p.key()},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reportingController,
		ReportingInstance:   instance,
		Action:              "Resolve",
		Reason:              p.Reason,
		Type:                eventType,
		Note:                printable.Cut(printable.Line(p.Note), maxNote), // M10
		Regarding: corev1.ObjectReference{
			APIVersion: cmp.Or(apiVersions[p.Kind], "gateway.networking.k8s.io/v1"),
			Kind:       p.Kind, Namespace: p.Namespace, Name: p.Name, UID: p.UID,
		},
	}
}

// apiVersions are those of the kinds beside the Gateway API's. kubectl describe selects Events by the kind only.
var apiVersions = map[string]string{
	"Service":       "v1",
	"EndpointSlice": "discovery.k8s.io/v1",
	"Ingress":       "networking.k8s.io/v1",
	"XListenerSet":  "gateway.networking.x-k8s.io/v1alpha1",
}
