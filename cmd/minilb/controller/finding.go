package controller

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

// The reasons of Events (S17). A script may depend on them.
const (
	reasonStatusUpdated      = "StatusUpdated"      // Normal
	reasonStatusConflict     = "StatusConflict"     // S12
	reasonTargetPortMismatch = "TargetPortMismatch" // S5
	reasonNoRoutableEndpoint = "NoRoutableEndpoint" // R3
	reasonNoEndpoints        = "NoEndpoints"        // D18
	reasonWrongClass         = "WrongClass"         // S6
	reasonInvalidHost        = "InvalidHost"        // I10, G32
	reasonTooManyHosts       = "TooManyHosts"
	reasonInvalidObject      = "InvalidObject"  // something else of it cannot be used
	reasonHostConflict       = "HostConflict"   // C2, C3
	reasonHostReserved       = "HostReserved"   // D17, C7
	reasonHostNotAllowed     = "HostNotAllowed" // C6
	reasonHostNotServed      = "HostNotServed"  // M2
	reasonHostNotice         = "HostNotice"     // Normal: it is served, and there is something to know
	reasonAnnotationIgnored  = "AnnotationIgnored"
	reasonUnsupported        = "Unsupported" // and the field (E11)
	reasonResolved           = "Resolved"    // Normal
)

// finding is something that an object's owner should know of it.
type finding struct {
	kind, namespace, name string
	uid                   types.UID
	generation            int64
	reason                string
	note                  string // one sentence, with what to do
	aspect                string // what of the object it is about; "" if the note tells
	normal                bool   // nothing that needs to be put right
	unsure                bool   // it is none: what was found for the reason stays, as nobody can tell now
	round                 int    // how often it was told that nothing is wrong for the reason any more
}

const (
	// reportingController is who our Events are by.
	reportingController = "minilb.io/controller"
	// maxNote is how many bytes the API server lets a note have.
	maxNote = 1024
	// maxEventName leaves room for the hash in the 253 characters of a name.
	maxEventName = 200
)

// key is what tells one Event from others, the same in every controller and after a restart: the
// object, its generation and what is said of it. The note is among it because not all that matters has
// a generation: Services have none at all, and annotations, and the objects of others, do not change it.
func (f *finding) key() string {
	said := "\x00" + f.note
	if f.aspect != "" {
		said = f.aspect
	}
	if f.round > 0 {
		said += fmt.Sprintf("\x00%d", f.round)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%s\x00%s\x00%d\x00%s\x00%s", f.kind, f.namespace, f.name, f.uid, f.generation, f.reason, said)
	return hex.EncodeToString(sum.Sum(nil)[:10])
}

// maxNamed is how many findings for one reason an object has by themselves.
const maxNamed = 5

// each returns a finding of each of the texts, with what to do, but of more than some one of all the others:
// one that is added or goes leaves the others as they are.
func (f finding) each(texts []string, fix string) []finding {
	if fix != "" {
		fix = "; " + fix
	}
	texts = slices.Compact(slices.Sorted(slices.Values(texts)))
	var all []finding
	for _, text := range texts[:min(maxNamed, len(texts))] {
		f.note = printable.Cut(printable.Line(capitalized(text)), maxNote-len(fix)) + fix
		all = append(all, f)
	}
	if more := len(texts) - maxNamed; more > 0 {
		f.note, f.aspect = fmt.Sprintf("There is more of this than these Events tell: \"minilb check\" lists all %d", len(texts)), "more"
		all = append(all, f)
	}
	return all
}

// event returns the finding as an Event, which is by instance.
func (f *finding) event(instance string, now time.Time) *eventsv1.Event {
	eventType := corev1.EventTypeWarning
	if f.normal {
		eventType = corev1.EventTypeNormal
	}
	name := f.name[:min(len(f.name), maxEventName)]
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: f.home(), Name: strings.TrimRight(name, ".-") + "." + f.key()},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reportingController,
		ReportingInstance:   instance,
		Action:              "Resolve",
		Reason:              f.reason,
		Type:                eventType,
		Note:                printable.Cut(printable.Line(f.note), maxNote), // M10
		Regarding: corev1.ObjectReference{
			APIVersion: apiVersions[f.kind], Kind: f.kind, Namespace: f.namespace, Name: f.name, UID: f.uid,
		},
	}
}

// home is the namespace that an Event about the object is in.
func (f *finding) home() string { return cmp.Or(f.namespace, metav1.NamespaceDefault) }

// apiVersions are those of the kinds that Events are about. Who describes an object asks for its
// Events by its kind alone.
var apiVersions = map[string]string{
	"Service":       "v1",
	"EndpointSlice": "discovery.k8s.io/v1",
	"Ingress":       "networking.k8s.io/v1",
	"GatewayClass":  "gateway.networking.k8s.io/v1",
	"Gateway":       "gateway.networking.k8s.io/v1",
	"ListenerSet":   "gateway.networking.k8s.io/v1",
	"HTTPRoute":     "gateway.networking.k8s.io/v1",
	"GRPCRoute":     "gateway.networking.k8s.io/v1",
	"TLSRoute":      "gateway.networking.k8s.io/v1",
	"XListenerSet":  "gateway.networking.x-k8s.io/v1alpha1",
}
