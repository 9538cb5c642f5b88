package object

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
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

// decode reads the fields that are used. They are written alike in all versions of a kind, so that one struct serves
// them all (G2). It returns the problem of an object that is not as its kind should be.
func decode(o Ref, obj *unstructured.Unstructured, into any) []Problem {
	unstructured.RemoveNestedField(obj.Object, "metadata", "managedFields") // long, and not used
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into)
	if err == nil {
		return nil
	}
	// This slower decoder names the field.
	text, _ := json.Marshal(obj.Object)
	if misfit, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(text, into)); ok {
		err = fmt.Errorf("there is a %s in %s", misfit.Value, misfit.Field)
	}
	line := printable.Legible(strings.Join(strings.Fields(err.Error()), " "))
	return []Problem{{Ref: &o, Reason: ReasonObject, Text: "it is not as its kind should be and is left out: " + printable.Shorten(line)}}
}

type statusConditions []struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// get returns the status of a condition, "" for none, and unless it is true one line with the reason and message.
func (cs statusConditions) get(name string) (status, reason string) {
	for _, c := range cs {
		switch {
		case c.Type != name:
		case c.Status == ConditionTrue:
			return c.Status, ""
		default:
			reason = strings.TrimSuffix(c.Reason+": "+strings.Join(strings.Fields(c.Message), " "), ": ")
			return c.Status, printable.Cut(reason, maxMessage)
		}
	}
	return "", ""
}

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
	return printable.Legible(k.Kind) + " " + printable.Legible(cache.NewObjectName(k.Namespace, k.Name).String())
}

// qualified returns how a kind is called here: with its group if that is none of ours. No group is that of Gateways; "" is
// the core's, as for a Service of a mesh.
func qualified(in *gatewayv1.Group, kind gatewayv1.Kind) string {
	group := ptr.Deref(in, GatewayGroup)
	if group == GatewayGroup && kind != KindXListenerSet || group == GatewayXGroup && kind == KindXListenerSet {
		return string(kind)
	}
	return string(group) + "/" + string(kind)
}

// value returns what p points to, or otherwise for nil and for the zero value.
func value[T comparable](p *T, otherwise T) T {
	return cmp.Or(ptr.Deref(p, otherwise), otherwise)
}

// parentRef fills in the group, kind and namespace that a reference leaves out, in an object of the namespace own (G10, G20).
func parentRef(ref *gatewayv1.ParentReference, own string) ParentRef {
	return ParentRef{
		KindName: KindName{
			Kind:      qualified(ref.Group, value(ref.Kind, KindGateway)),
			Namespace: string(value(ref.Namespace, gatewayv1.Namespace(own))),
			Name:      string(ref.Name),
		},
		Section: string(ptr.Deref(ref.SectionName, "")),
		Port:    ptr.Deref(ref.Port, 0),
	}
}
