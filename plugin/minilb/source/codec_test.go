package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// encoded returns what a codec writes of it.
func encoded(t testing.TB, fields func(*object.Codec)) []byte {
	t.Helper()
	var out bytes.Buffer
	c := &object.Codec{Out: bufio.NewWriter(&out)}
	fields(c)
	if c.Out.Flush(); c.Err != nil {
		t.Fatal(c.Err)
	}
	return out.Bytes()
}

// filler sets everything that a value consists of, exported or not, to something of its own.
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
			field := v.Field(i)
			f.fill(t, reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem())
		}
	default:
		t.Fatalf("%v: there is nothing to fill it with: say here what, and in codec.go how it is written", v.Type())
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

// Everything that is kept of an object is in a snapshot: a field that is added and not written
// would be missed here.
func TestFields(t *testing.T) {
	for kind, blank := range blanks {
		for _, empty := range []bool{false, true} {
			for _, s := range selectors(t) {
				want, got := blank(), blank()
				f := &filler{empty: empty, selector: s}
				f.fill(t, reflect.ValueOf(want).Elem())
				content := encoded(t, want.CodecFields)
				c := &object.Codec{In: content}
				got.CodecFields(c)
				if c.Err != nil || len(c.In) > 0 {
					t.Errorf("%s: %v, %d bytes left", kind, c.Err, len(c.In))
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got\n%+v, want\n%+v", kind, got, want)
				}
				again := encoded(t, got.CodecFields)
				if !bytes.Equal(again, content) {
					t.Errorf("%s: it is written otherwise once it has been read", kind)
				}
				// No length is believed that is not there.
				for n := range len(content) {
					c := &object.Codec{In: content[:n]}
					if blank().CodecFields(c); c.Err == nil {
						t.Errorf("%s: %d of %d bytes are enough", kind, n, len(content))
					}
				}
			}
		}
		zero, got := blank(), blank()
		c := &object.Codec{In: encoded(t, zero.CodecFields)}
		if got.CodecFields(c); c.Err != nil || !reflect.DeepEqual(got, zero) {
			t.Errorf("%s: of nothing, got %+v, %v", kind, got, c.Err)
		}
	}
}

// Selectors choose the same namespaces after they were read.
func TestSelectorFields(t *testing.T) {
	for _, want := range selectors(t) {
		var got labels.Selector
		c := &object.Codec{In: encoded(t, func(c *object.Codec) { object.Selector(&want, c) })}
		if object.Selector(&got, c); c.Err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, %v, want %#v", got, c.Err, want)
		}
	}
	// What is written may be read by others meanwhile, and so does not change, not even to its equal.
	parse := func() labels.Selector {
		s, err := labels.Parse("!old")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := parse()
	if encoded(t, func(c *object.Codec) { object.Selector(&s, c) }); !reflect.DeepEqual(s, parse()) {
		t.Errorf("it was written, and is %#v, want %#v", s, parse())
	}
}

// The layout of what is kept decides on formatVersion: this fails when one changes without the other.
func TestFormatVersion(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var layout strings.Builder
	var describe func(reflect.Type)
	describe = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			describe(typ.Elem())
		case reflect.Struct:
			if seen[typ] || typ.PkgPath() != reflect.TypeFor[object.Service]().PkgPath() {
				return
			}
			seen[typ] = true
			fmt.Fprintf(&layout, "%s:", typ.Name())
			for field := range typ.Fields() {
				fmt.Fprintf(&layout, " %s %v;", field.Name, field.Type)
			}
			layout.WriteString("\n")
			for field := range typ.Fields() {
				describe(field.Type)
			}
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[header](), reflect.TypeFor[object.Service](), reflect.TypeFor[object.EndpointSlice](), reflect.TypeFor[object.Ingress](), reflect.TypeFor[object.Namespace](),
		reflect.TypeFor[object.GatewayClass](), reflect.TypeFor[object.Gateway](), reflect.TypeFor[object.ListenerSet](), reflect.TypeFor[object.Route](),
	} {
		describe(typ)
	}
	const version, want = 4, layoutOfVersion4
	if layout.String() != want || formatVersion != version {
		t.Errorf("the layout of version %d is now\n%s\nGive formatVersion its next number, and put this here.", formatVersion, layout.String())
	}
}

func TestIntegerRange(t *testing.T) {
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		var got int64
		c := &object.Codec{In: encoded(t, func(c *object.Codec) { object.Integer(&n, c) })}
		if object.Integer(&got, c); got != n || c.Err != nil {
			t.Errorf("got %d, %v, want %d", got, c.Err, n)
		}
	}
	large := int64(math.MaxUint16 + 1)
	var small uint16
	c := &object.Codec{In: encoded(t, func(c *object.Codec) { object.Integer(&large, c) })}
	if object.Integer(&small, c); c.Err == nil {
		t.Errorf("%d is %d", large, small)
	}
}

const layoutOfVersion4 = `Service: Meta object.Meta; Kind v1.ServiceType; Class *string; Hosts map[string]string; Truncated []object.Truncation; ServicePorts object.ServicePorts;
Meta: Namespace string; Name string; Created int64; Ignored bool;
Truncation: Annotation string; Dropped int;
ServicePorts: Named string; HTTPS *object.HTTPS;
HTTPS: Port string; HasHTTP bool; ALPN []string; Rejected []string;
EndpointSlice: Meta object.Meta; Service string; Endpoints object.Endpoints; Ports []object.Port; Triggered int64; Problems []object.Problem;
Endpoints: Packed []uint8; Hostnames []string; Nodes []string; Pods []uint32; Width int;
Port: Proto string; Service string; Number uint16;
Problem: Ref *object.Ref; Reason object.Reason; Host string; Text string; Hosts int;
Ref: Kind string; Namespace string; Name string; Created int64;
Ingress: Meta object.Meta; Classes []string; Service *string; Hosts []string; Surplus int; Addresses []object.IngressAddress;
IngressAddress: IP string; Hostname string;
Namespace: Meta object.Meta; Labels labels.Set;
GatewayClass: Meta object.Meta; Controller string; Problems []object.Problem;
Gateway: Meta object.Meta; Targets object.Targets; Class string; Listeners []object.Listener; AllowedListeners object.NamespaceSelection; Malformed bool; IsDefault bool;
Targets: Ref object.Ref; List []object.Target; Problems []object.Problem; Missing string;
Target: Addr netip.Addr; Service cache.ObjectName; Host string;
Listener: Name string; Host string; Port int32; Protocol v1.ProtocolType; Kinds []string; AllowedRoutes object.NamespaceSelection; Supported []string; Accepted string; Conflicts string;
NamespaceSelection: From v1.FromNamespaces; Selector labels.Selector;
ListenerSet: Meta object.Meta; Targets *object.Targets; Kind string; Parent object.KindName; Listeners []object.Listener; Accepted string; Problems []object.Problem;
KindName: Kind string; Namespace string; Name string;
Route: Meta object.Meta; Targets *object.Targets; Kind string; Hosts []string; Surplus int; Parents []object.ParentRef; UseDefaultGateways bool; Statuses []object.RouteStatus; Problems []object.Problem;
ParentRef: KindName object.KindName; Section string; Port int32;
RouteStatus: Parent object.ParentRef; Controller string; Accepted string; Reason string;
`

// What does not become an address is no snapshot.
func TestAddressFields(t *testing.T) {
	for length, want := range map[int]bool{0: true, 3: false, 4: true, 5: false, 16: true} {
		c := &object.Codec{In: encoded(t, func(c *object.Codec) { c.Bytes(make([]byte, length)) })}
		var addr netip.Addr
		if object.Address(&addr, c); (c.Err == nil) != want {
			t.Errorf("%d bytes: got %v, %v", length, addr, c.Err)
		}
	}
}

// once fails to write the first time.
type once struct {
	failed error
	n      int
}

func (o *once) Write(p []byte) (int, error) {
	if o.n++; o.n == 1 {
		return 0, o.failed
	}
	return len(p), nil
}

// A part that cannot be written fails the whole, whatever can be written after it.
func TestEncodeFails(t *testing.T) {
	b := newBench(t, config.Options{})
	b.watcher.Keep("snapshot", func() bool { return false })
	b.sync()
	failed := errors.New("no space left on device")
	if err := b.watcher.encode(&once{failed: failed}, b.watcher.header()); err != failed {
		t.Errorf("got %v, want %v", err, failed)
	}
}

// unreadableObject is an object that cannot be read.
type unreadableObject struct{ object.Service }

func (*unreadableObject) CodecFields(c *object.Codec) { c.Fail(object.ErrShort) }

// No object is made after one that cannot be read, however many are said to follow.
func TestReadContentStops(t *testing.T) {
	const kind = "unreadable"
	made := 0
	blanks[kind] = func() keyed { made++; return &unreadableObject{} }
	defer delete(blanks, kind)
	content := encoded(t, func(c *object.Codec) {
		new(header).CodecFields(c)
		more := true
		object.Flag(&more, c)
		(&section{kind: kind}).CodecFields(c)
		c.Bytes(make([]byte, 100))
	})
	if _, err := readContent(content); err != object.ErrShort || made != 1 {
		t.Errorf("got %v, with %d objects made, want one", err, made)
	}
}
