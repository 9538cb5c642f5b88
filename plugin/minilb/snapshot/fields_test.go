package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// filler sets everything that a value consists of, to something of its own.
type filler struct {
	n        int64
	empty    bool            // lists and maps are empty, and pointers to zero values
	selector labels.Selector // for selectors
}

func (f *filler) fill(t *testing.T, v reflect.Value) {
	t.Helper()
	f.n++
	switch v.Type() {
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(f.n)})))
		return
	case reflect.TypeFor[labels.Selector]():
		if f.selector != nil {
			v.Set(reflect.ValueOf(f.selector))
		}
		return
	case reflect.TypeFor[object.Endpoints]():
		e := []object.Endpoint{{Addr: netip.MustParseAddr("10.0.0.1"), Hostname: "a", Node: "n", Conditions: object.Ready}, {Addr: netip.MustParseAddr("10.0.0.2"), Conditions: object.Serving | object.Terminating}}
		v.Set(reflect.ValueOf(object.Pack(e)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(f.n * (1 - 2*(f.n%2)))
	case reflect.Uint16:
		v.SetUint(uint64(f.n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(t, v.Elem())
	case reflect.Slice:
		if v.Set(reflect.MakeSlice(v.Type(), 2, 2)); f.empty {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			f.fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if !f.empty {
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint(f.n)).Convert(v.Type().Key()), reflect.ValueOf("value").Convert(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // which a snapshot has nothing of
				f.fill(t, v.Field(i))
			}
		}
	default:
		t.Fatalf("%v: there is nothing to fill it with: say here what", v.Type())
	}
}

func selectors(t *testing.T) []labels.Selector {
	by, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{
		MatchLabels: map[string]string{"team": "a"},
		MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "env", Operator: metav1.LabelSelectorOpIn, Values: []string{"y", "x"}},
			{Key: "old", Operator: metav1.LabelSelectorOpDoesNotExist},
			{Key: "new", Operator: metav1.LabelSelectorOpExists},
			{Key: "zone", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"z"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return []labels.Selector{by, labels.Everything(), labels.Nothing(), nil}
}

// Everything that is kept of an object is in a snapshot.
func TestFields(t *testing.T) {
	for kind, construct := range constructors {
		for _, empty := range []bool{false, true} {
			for _, s := range selectors(t) {
				want, got := construct(), construct()
				f := &filler{empty: empty, selector: s}
				f.fill(t, reflect.ValueOf(want).Elem())
				content, err := json.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(content, got); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got\n%+v, want\n%+v", kind, got, want)
				}
				if again, err := json.Marshal(got); err != nil || !bytes.Equal(again, content) {
					t.Errorf("%s: it is written otherwise once it has been read: %v", kind, err)
				}
			}
		}
		zero, got := construct(), construct()
		if content, err := json.Marshal(zero); err != nil || string(content) != "{}" {
			t.Errorf("%s: nothing is written as %s, %v", kind, content, err)
		}
		if err := json.Unmarshal([]byte("{}"), got); err != nil || !reflect.DeepEqual(got, zero) {
			t.Errorf("%s: of nothing, got %+v, %v", kind, got, err)
		}
	}
}

// Later versions read what this one writes: fields may come, and those that are there neither go nor change.
func TestFieldsStay(t *testing.T) {
	var layout []string
	seen := map[reflect.Type]bool{}
	var describe func(reflect.Type)
	describe = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			describe(typ.Elem())
		case reflect.Struct:
			if seen[typ] || !strings.HasPrefix(typ.PkgPath(), "github.com/minilb/") {
				return
			}
			seen[typ] = true
			for field := range typ.Fields() {
				layout = append(layout, fmt.Sprintf("%s.%s %v", typ.Name(), field.Name, field.Type))
				describe(field.Type)
			}
		}
	}
	describe(reflect.TypeFor[Header]())
	for _, construct := range constructors {
		describe(reflect.TypeOf(construct()))
	}
	slices.Sort(layout)
	for field := range strings.Lines(fieldsOfVersion5) {
		if field = strings.TrimSpace(field); !slices.Contains(layout, field) {
			t.Errorf("%s has gone: keep it, or give Version its next number and put these here:\n%s", field, strings.Join(layout, "\n"))
			return
		}
	}
}

const fieldsOfVersion5 = `EndpointSlice.Endpoints object.Endpoints
EndpointSlice.Meta object.Meta
EndpointSlice.Ports []object.Port
EndpointSlice.Problems []object.Problem
EndpointSlice.Service string
EndpointSlice.Triggered int64
Endpoints.Hostnames []string
Endpoints.Nodes []string
Endpoints.Packed []uint8
Endpoints.Pods []uint32
Endpoints.Width int
Gateway.AllowedListeners object.NamespaceSelection
Gateway.Class string
Gateway.IsDefault bool
Gateway.Listeners []object.Listener
Gateway.Malformed bool
Gateway.Meta object.Meta
Gateway.Targets object.Targets
GatewayClass.Controller string
GatewayClass.Meta object.Meta
GatewayClass.Problems []object.Problem
HTTPS.ALPN []string
HTTPS.HasHTTP bool
HTTPS.Port string
HTTPS.Rejected []string
Header.Classes []string
Header.Discovered bool
Header.HTTPS bool
Header.Host string
Header.HostAnnotations []string
Header.Written int64
Ingress.Addresses []object.IngressAddress
Ingress.Classes []string
Ingress.Hosts []string
Ingress.Rejected []string
Ingress.Meta object.Meta
Ingress.Service *string
Ingress.Surplus int
Ingress.TTL *uint16
IngressAddress.Hostname string
IngressAddress.IP string
KindName.Kind string
KindName.Name string
KindName.Namespace string
Listener.Accepted string
Listener.AllowedRoutes object.NamespaceSelection
Listener.Conflicts string
Listener.Host string
Listener.Kinds []string
Listener.Name string
Listener.Port int32
Listener.Protocol v1.ProtocolType
Listener.Supported []string
ListenerSet.Accepted string
ListenerSet.Kind string
ListenerSet.Listeners []object.Listener
ListenerSet.Meta object.Meta
ListenerSet.Parent object.KindName
ListenerSet.Problems []object.Problem
ListenerSet.Targets *object.Targets
Meta.Created int64
Meta.Generation int64
Meta.Ignored bool
Meta.Lint []object.Problem
Meta.Name string
Meta.Namespace string
Meta.UID types.UID
Namespace.Labels labels.Set
Namespace.Meta object.Meta
Node.Meta object.Meta
NamespaceSelection.From v1.FromNamespaces
NamespaceSelection.Selector labels.Selector
ParentRef.KindName object.KindName
ParentRef.Port int32
ParentRef.Section string
Port.Number uint16
Port.Proto string
Port.Service string
Problem.Host string
Problem.Hosts int
Problem.Reason object.Reason
Problem.Ref *object.Ref
Problem.Text string
Ref.Created int64
Ref.Generation int64
Ref.Kind string
Ref.Name string
Ref.Namespace string
Ref.UID types.UID
Route.Hosts []string
Route.Kind string
Route.Meta object.Meta
Route.Parents []object.ParentRef
Route.Problems []object.Problem
Route.Rejected []string
Route.Statuses []object.RouteStatus
Route.Surplus int
Route.TTL *uint16
Route.Targets *object.Targets
Route.UseDefaultGateways bool
RouteStatus.Accepted string
RouteStatus.Controller string
RouteStatus.Parent object.ParentRef
RouteStatus.Reason string
Service.Class *string
Service.Hosts map[string]string
Service.Kind v1.ServiceType
Service.Meta object.Meta
Service.Rejected []string
Service.ServicePorts object.ServicePorts
Service.Share object.Share
Service.TTL *uint16
Service.Truncated []object.Truncation
ServicePorts.HTTPS *object.HTTPS
ServicePorts.Named string
Share.Priority *uint16
Share.Weight *uint16
Target.Addr netip.Addr
Target.Host string
Target.Service cache.ObjectName
Targets.List []object.Target
Targets.Missing string
Targets.Problems []object.Problem
Targets.Ref object.Ref
Truncation.Annotation string
Truncation.Dropped int
`
