package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// The kinds of the Gateway API that are read (G10).
const (
	KindGateway      = "Gateway"
	KindGatewayClass = "GatewayClass"
	KindListenerSet  = "ListenerSet"
	KindXListenerSet = "XListenerSet" // what came before ListenerSet, in a group of its own
	KindHTTPRoute    = "HTTPRoute"
	KindGRPCRoute    = "GRPCRoute"
	KindTLSRoute     = "TLSRoute"
)

// The groups they are in.
const (
	GatewayGroup  = gatewayv1.GroupName
	GatewayXGroup = "gateway.networking.x-k8s.io"
)

// decode reads an object into into, a struct with the fields that are used. They are written
// alike in all versions of a kind, so that one struct serves them all (G2), and a field that
// a newer version has added or changed elsewhere does not matter.
func decode(obj *unstructured.Unstructured, into any) error {
	unstructured.RemoveNestedField(obj.Object, "metadata", "managedFields") // long, and not used
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into)
	if err == nil {
		return nil
	}
	// It does not say where. This does, at a price that is paid for bad objects alone.
	text, _ := json.Marshal(obj.Object)
	var misfit *json.UnmarshalTypeError
	if errors.As(json.Unmarshal(text, into), &misfit) {
		return fmt.Errorf("there is a %s in %s", misfit.Value, misfit.Field)
	}
	return err
}

// malformed is the problem of an object that cannot be decoded: it alone is left out.
func malformed(o Ref, err error) []Problem {
	text := printable.Legible(strings.Join(strings.Fields(err.Error()), " "))
	return []Problem{{Ref: &o, Reason: ReasonObject, Text: "it is not as its kind should be and is left out: " + printable.Shorten(text)}}
}

// identity returns what is known of an object whatever else is wrong with it.
func identity(obj *unstructured.Unstructured) Meta {
	return newMeta(&metav1.ObjectMeta{
		Namespace:         obj.GetNamespace(),
		Name:              obj.GetName(),
		Labels:            obj.GetLabels(),
		CreationTimestamp: obj.GetCreationTimestamp(),
	})
}

// statusConditions are those of a status. Their other fields are for people.
type statusConditions []struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// get returns the status of a condition, "" if it is not there, and unless it is true the reason and the
// message, in one line.
func (cs statusConditions) get(name string) (status, reason string) {
	for _, c := range cs {
		switch {
		case c.Type != name:
		case c.Status == ConditionTrue:
			return c.Status, ""
		case c.Message == "":
			return c.Status, printable.Cut(c.Reason, maxMessage)
		default:
			return c.Status, printable.Cut(c.Reason+": "+strings.Join(strings.Fields(c.Message), " "), maxMessage)
		}
	}
	return "", ""
}

// maxMessage is how many bytes of what a controller says are kept.
const maxMessage = 240

// The states of a condition that count; any other is unknown.
const (
	ConditionTrue  = string(metav1.ConditionTrue)
	ConditionFalse = string(metav1.ConditionFalse)
)

// KindName names an object of one of several kinds.
type KindName struct {
	Kind            string `json:",omitzero"` // of one of the groups above, or group/kind for all others
	Namespace, Name string `json:",omitzero"`
}

func (k KindName) String() string {
	name := k.Name
	if k.Namespace != "" {
		name = k.Namespace + "/" + name
	}
	return printable.Legible(k.Kind) + " " + printable.Legible(name)
}

// qualified returns how a kind is called here: those of other groups, of which none is read,
// are kept apart.
func qualified(group, kind string) string {
	if group == GatewayGroup && kind != KindXListenerSet || group == GatewayXGroup && kind == KindXListenerSet {
		return kind
	}
	return group + "/" + kind
}

// value returns what p points to, or otherwise for nil and for the zero value.
func value[T comparable](p *T, otherwise T) T {
	var zero T
	if p == nil || *p == zero {
		return otherwise
	}
	return *p
}

// nonzero returns p, or nil for what points to the zero value.
func nonzero[T comparable](p *T) *T {
	var zero T
	if p != nil && *p == zero {
		return nil
	}
	return p
}
