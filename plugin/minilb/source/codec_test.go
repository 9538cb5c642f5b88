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
)

// encoded returns what a codec writes of it.
func encoded(t testing.TB, fields func(*codec)) []byte {
	t.Helper()
	var out bytes.Buffer
	c := &codec{out: bufio.NewWriter(&out)}
	fields(c)
	if c.out.Flush(); c.err != nil {
		t.Fatal(c.err)
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
	case reflect.TypeFor[endpoints]():
		e := []endpoint{{addr: netip.MustParseAddr("10.0.0.1"), hostname: "a", node: "n", conditions: isReady}, {addr: netip.MustParseAddr("10.0.0.2"), conditions: isServing | isTerminating}}
		v.Set(reflect.ValueOf(pack(e)))
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
				content := encoded(t, want.fields)
				c := &codec{in: content}
				got.fields(c)
				if c.err != nil || len(c.in) > 0 {
					t.Errorf("%s: %v, %d bytes left", kind, c.err, len(c.in))
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got\n%+v, want\n%+v", kind, got, want)
				}
				again := encoded(t, got.fields)
				if !bytes.Equal(again, content) {
					t.Errorf("%s: it is written otherwise once it has been read", kind)
				}
				// No length is believed that is not there.
				for n := range len(content) {
					c := &codec{in: content[:n]}
					if blank().fields(c); c.err == nil {
						t.Errorf("%s: %d of %d bytes are enough", kind, n, len(content))
					}
				}
			}
		}
		zero, got := blank(), blank()
		c := &codec{in: encoded(t, zero.fields)}
		if got.fields(c); c.err != nil || !reflect.DeepEqual(got, zero) {
			t.Errorf("%s: of nothing, got %+v, %v", kind, got, c.err)
		}
	}
}

// Selectors choose the same namespaces after they were read.
func TestSelectorFields(t *testing.T) {
	for _, want := range selectors(t) {
		var got labels.Selector
		c := &codec{in: encoded(t, func(c *codec) { selector(&want, c) })}
		if selector(&got, c); c.err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, %v, want %#v", got, c.err, want)
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
	if encoded(t, func(c *codec) { selector(&s, c) }); !reflect.DeepEqual(s, parse()) {
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
			if seen[typ] || typ.PkgPath() != reflect.TypeFor[service]().PkgPath() {
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
		reflect.TypeFor[header](), reflect.TypeFor[service](), reflect.TypeFor[slice](), reflect.TypeFor[ingress](), reflect.TypeFor[namespace](),
		reflect.TypeFor[gatewayClass](), reflect.TypeFor[gateway](), reflect.TypeFor[listenerSet](), reflect.TypeFor[route](),
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
		c := &codec{in: encoded(t, func(c *codec) { integer(&n, c) })}
		if integer(&got, c); got != n || c.err != nil {
			t.Errorf("got %d, %v, want %d", got, c.err, n)
		}
	}
	large := int64(math.MaxUint16 + 1)
	var small uint16
	c := &codec{in: encoded(t, func(c *codec) { integer(&large, c) })}
	if integer(&small, c); c.err == nil {
		t.Errorf("%d is %d", large, small)
	}
}

const layoutOfVersion4 = `header: written int64; host string; classes []string; hostAnnotations []string; https bool; gateways bool;
service: meta source.meta; kind v1.ServiceType; class *string; hosts map[string]string; shortened []source.shortening; offered source.offered;
meta: namespace string; name string; created int64; ignored bool;
shortening: annotation string; hosts int;
offered: ports string; https *source.https;
https: port string; plain bool; alpn []string; refused []string;
slice: meta source.meta; service string; endpoints source.endpoints; ports []source.port; triggered int64; problems []source.problem;
endpoints: packed []uint8; hostnames []string; nodes []string; pods []uint32; width int;
port: proto string; service string; number uint16;
problem: owner *source.owner; reason source.Reason; host string; text string; hosts int;
owner: kind string; namespace string; name string; created int64;
ingress: meta source.meta; classes []string; service *string; hosts []string; surplus int; addresses []source.ingressAddress;
ingressAddress: ip string; hostname string;
namespace: meta source.meta; labels labels.Set;
gatewayClass: meta source.meta; controller string; problems []source.problem;
gateway: meta source.meta; lead source.lead; class string; listeners []source.listener; sets source.selection; unreadable bool; standard bool;
lead: owner source.owner; targets []source.target; problems []source.problem; missing string;
target: addr netip.Addr; service cache.ObjectName; host string;
listener: name string; host string; port int32; protocol v1.ProtocolType; kinds []string; routes source.selection; supported []string; accepted string; conflicts string;
selection: from v1.FromNamespaces; selector labels.Selector;
listenerSet: meta source.meta; lead *source.lead; kind string; parent source.kindName; listeners []source.listener; accepted string; problems []source.problem;
kindName: kind string; namespace string; name string;
route: meta source.meta; lead *source.lead; kind string; hosts []string; surplus int; parents []source.parentRef; anywhere bool; verdicts []source.verdict; problems []source.problem;
parentRef: kindName source.kindName; section string; port int32;
verdict: parent source.parentRef; controller string; accepted string; reason string;
`

// What does not become an address is no snapshot.
func TestAddressFields(t *testing.T) {
	for length, want := range map[int]bool{0: true, 3: false, 4: true, 5: false, 16: true} {
		c := &codec{in: encoded(t, func(c *codec) { c.bytes(make([]byte, length)) })}
		var addr netip.Addr
		if address(&addr, c); (c.err == nil) != want {
			t.Errorf("%d bytes: got %v, %v", length, addr, c.err)
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
	b := newBench(t, Options{})
	b.watcher.Keep("snapshot", func() bool { return false })
	b.sync()
	failed := errors.New("no space left on device")
	if err := b.watcher.encode(&once{failed: failed}, b.watcher.header()); err != failed {
		t.Errorf("got %v, want %v", err, failed)
	}
}

// unreadableObject is an object that cannot be read.
type unreadableObject struct{ service }

func (*unreadableObject) fields(c *codec) { c.fail(errShort) }

// No object is made after one that cannot be read, however many are said to follow.
func TestReadContentStops(t *testing.T) {
	const kind = "unreadable"
	made := 0
	blanks[kind] = func() object { made++; return &unreadableObject{} }
	defer delete(blanks, kind)
	content := encoded(t, func(c *codec) {
		new(header).fields(c)
		more := true
		flag(&more, c)
		(&section{kind: kind}).fields(c)
		c.bytes(make([]byte, 100))
	})
	if _, err := readContent(content); err != errShort || made != 1 {
		t.Errorf("got %v, with %d objects made, want one", err, made)
	}
}
