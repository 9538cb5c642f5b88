package snapshot

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// state returns one with an object of each kind.
func state(t *testing.T) *State {
	s := &State{Header: Header{Written: 7, Host: "https://api.example", Classes: []string{"", "minilb"}, HTTPS: true}}
	for kind, construct := range constructors {
		o := construct()
		(&filler{}).fill(t, reflect.ValueOf(o).Elem())
		s.Stores = append(s.Stores, Store{kind, "", []Object{o}})
	}
	s.Stores = append(s.Stores, Store{"service", "shop", nil})
	slices.SortFunc(s.Stores, func(a, b Store) int { return strings.Compare(a.Kind+" "+a.Scope, b.Kind+" "+b.Scope) })
	return s
}

func encoded(t testing.TB, s *State) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := encode(&out, s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What is written is read.
func TestState(t *testing.T) {
	want := state(t)
	if got, err := decode(bytes.NewReader(encoded(t, want))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A snapshot that is not as it was written is not used, whatever is wrong with it.
func TestDamaged(t *testing.T) {
	s := state(t)
	s.Stores = slices.DeleteFunc(s.Stores, func(of Store) bool { return of.Kind != "service" && of.Kind != "ingress" })
	whole := encoded(t, s)
	for n := range whole {
		if _, err := decode(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("%d of its %d bytes are taken for all", n, len(whole))
		}
		for _, bits := range []byte{1, 0x80, 0xff} {
			damaged := bytes.Clone(whole)
			damaged[n] ^= bits
			if _, err := decode(bytes.NewReader(damaged)); err == nil {
				t.Errorf("byte %d is not %#x but %#x, and it is taken", n, whole[n], damaged[n])
			}
		}
	}
	for _, more := range []string{"\x00", "\n"} {
		if _, err := decode(bytes.NewReader(append(bytes.Clone(whole), more...))); err == nil {
			t.Errorf("it is longer by %q, and taken", more)
		}
	}
}

// What a later version has added is skipped.
func TestUnknown(t *testing.T) {
	out := signed(`{"Written":7,"Host":"h","Later":{"a":[1]}}
{"Kind":"service","Objects":1,"Later":true}
{"Namespace":"shop","Name":"web","Later":"x"}
{"Kind":"laterkind","Objects":2}
{"Name":"a"}
[]
{"Kind":"ingress","Scope":"shop","Objects":0}
`)
	want := &State{Header{Written: 7, Host: "h"}, []Store{
		{"service", "", []Object{&object.Service{Meta: object.Meta{Namespace: "shop", Name: "web"}}}}, {"ingress", "shop", nil},
	}}
	if got, err := decode(bytes.NewReader(out)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// What could end the server later is not taken, though it is as it was written.
func TestInvalid(t *testing.T) {
	for name, line := range map[string]string{
		"nobody's problem":             `{"Problems":[{"Text":"x"}]}`,
		"endpoints without a width":    `{"Endpoints":{"Packed":"AAAA"}}`,
		"endpoints of an odd width":    `{"Endpoints":{"Packed":"AAAA","Width":3}}`,
		"endpoints of half a width":    `{"Endpoints":{"Packed":"AAAA","Width":5}}`,
		"endpoints of a negative size": `{"Endpoints":{"Width":-5}}`,
		"hostnames of none":            `{"Endpoints":{"Packed":"AAAAAAE=","Width":5,"Hostnames":[]}}`,
		"nodes of none":                `{"Endpoints":{"Packed":"AAAAAAE=","Width":5,"Nodes":["a","b"]}}`,
		"pods of none":                 `{"Endpoints":{"Pods":[1]}}`,
		"a number out of range":        `{"Ports":[{"Number":65536}]}`,
		"no object":                    `7`,
	} {
		if _, err := decode(bytes.NewReader(signed("{}\n" + `{"Kind":"endpointslice","Objects":1}` + "\n" + line + "\n"))); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for line, want := range map[string]bool{
		`{"Targets":{"List":[{"Addr":"10.0.0.1"},{"Addr":""},{}]}}`:                                   true,
		`{"Targets":{"List":[{"Addr":"10.0.0"}]}}`:                                                    false,
		`{"AllowedListeners":{"Selector":{"Requirements":[{"Key":"a","Op":"in","Values":["b"]}]}}}`:   true,
		`{"AllowedListeners":{"Selector":{"Requirements":[{"Key":"a","Op":"in"}]}}}`:                  false,
		`{"AllowedListeners":{"Selector":{"Requirements":[{"Key":"a","Op":"like","Values":["b"]}]}}}`: false,
	} {
		if _, err := decode(bytes.NewReader(signed("{}\n" + `{"Kind":"gateway","Objects":1}` + "\n" + line + "\n"))); (err == nil) != want {
			t.Errorf("%s: got %v", line, err)
		}
	}
}

// The objects of one namespace are also among those of all.
func TestStateStore(t *testing.T) {
	service := func(namespace string) Object {
		return &object.Service{Meta: object.Meta{Namespace: namespace, Name: "web"}}
	}
	s := &State{Stores: []Store{
		{"service", "", []Object{service("a"), service("b")}}, {"service", "c", []Object{service("c")}}, {"ingress", "a", nil},
		{"namespace", "", []Object{&object.Namespace{Meta: object.Meta{Name: "a"}}, &object.Namespace{Meta: object.Meta{Name: "b"}}}},
	}}
	for _, tc := range []struct {
		kind, scope string
		objects     int
		known       bool
	}{{"service", "", 2, true}, {"service", "a", 1, true}, {"service", "c", 1, true}, {"service", "d", 0, true}, {"ingress", "a", 0, true}, {"ingress", "", 0, false}, {"namespace", "a", 1, true}} {
		if objects, known := s.Store(tc.kind, tc.scope); len(objects) != tc.objects || known != tc.known {
			t.Errorf("%+v: got %v, %v", tc, objects, known)
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
	failed := errors.New("no space left on device")
	if err := encode(&once{failed: failed}, state(t)); err != failed {
		t.Errorf("got %v, want %v", err, failed)
	}
}
