// Package snapshot keeps the objects of a cluster in a file, so that they can be served after a restart without the
// API server.
package snapshot

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// A snapshot consists of lines: a title with the version of the format; the Header; for each store its heading and one
// object a line; and the SHA-256 of all before it, without a newline. All but the first and the last are JSON. Unknown
// fields and kinds are skipped, so that a new version is needed only if the meaning of a field changes.
const (
	title   = "minilb snapshot"
	Version = 5
	sumMark = "sha256 "
)

// State is what a snapshot holds.
type State struct {
	Header
	Stores []Store
}

// Header describes a snapshot.
type Header struct {
	Written int64  // when the API server had the state, in unix seconds
	Host    string // the API server
	// What the objects were read for.
	Classes         []string `json:",omitzero"` // of Services, "" for those without one
	HostAnnotations []string `json:",omitzero"`
	HTTPS           bool     `json:",omitzero"`
	Discovered      bool     `json:",omitzero"` // the stores have all optional kinds that the API server serves
}

// Object is a pointer to one of the types of package object.
type Object interface {
	Key() cache.ObjectName
	Metadata() *object.Meta
}

// Store is the objects of a kind, in a namespace or all.
type Store struct {
	Kind    string // in lower case
	Scope   string // the namespace, the name of a Namespace, or the selector of Nodes; "" for all
	Objects []Object
}

type heading struct {
	Kind    string
	Scope   string `json:",omitzero"`
	Objects int
}

var constructors = map[string]func() Object{
	"service":                                func() Object { return &object.Service{} },
	"labelled service":                       func() Object { return &object.Service{} },
	"endpointslice":                          func() Object { return &object.EndpointSlice{} },
	"ingress":                                func() Object { return &object.Ingress{} },
	"namespace":                              func() Object { return &object.Namespace{} },
	"node":                                   func() Object { return &object.Node{} },
	strings.ToLower(object.KindGatewayClass): func() Object { return &object.GatewayClass{} },
	strings.ToLower(object.KindGateway):      func() Object { return &object.Gateway{} },
	strings.ToLower(object.KindListenerSet):  func() Object { return &object.ListenerSet{} },
	strings.ToLower(object.KindXListenerSet): func() Object { return &object.ListenerSet{} },
	strings.ToLower(object.KindHTTPRoute):    func() Object { return &object.Route{} },
	strings.ToLower(object.KindGRPCRoute):    func() Object { return &object.Route{} },
	strings.ToLower(object.KindTLSRoute):     func() Object { return &object.Route{} },
}

// Store returns the objects of a kind and scope, of all namespaces if need be, and whether they are known.
func (s *State) Store(kind, scope string) (objects []Object, known bool) {
	for _, of := range s.Stores {
		switch {
		case of.Kind != kind:
		case of.Scope == scope:
			return of.Objects, true
		case of.Scope == "":
			known = true
			for _, o := range of.Objects {
				if key := o.Key(); scope == cmp.Or(key.Namespace, key.Name) {
					objects = append(objects, o)
				}
			}
		}
	}
	return objects, known
}

func encode(out io.Writer, s *State) error {
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(out, sum), 64<<10)
	_, err := fmt.Fprintf(w, "%s %d\n", title, Version)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	write := func(line any) {
		if err == nil {
			err = lines.Encode(line)
		}
	}
	write(&s.Header)
	for _, of := range s.Stores {
		write(heading{of.Kind, of.Scope, len(of.Objects)})
		for _, o := range of.Objects {
			write(o)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "%s%x", sumMark, sum.Sum(nil))
	}
	return err
}

// reader reads lines, and sums them up. It stops at the first error.
type reader struct {
	*bufio.Reader
	sum hash.Hash
	err error
}

// decode reads a state in one pass. It returns nothing unless the checksum matches.
func decode(in io.Reader) (*State, error) {
	r := reader{Reader: bufio.NewReaderSize(in, 64<<10), sum: sha256.New()}
	s := &State{}
	r.err = r.title()
	r.parse(r.line(), &s.Header)
	for r.err == nil {
		line := r.line()
		if sum, last := bytes.CutPrefix(line, []byte(sumMark)); last {
			if string(sum) != hex.EncodeToString(r.sum.Sum(nil)) {
				return nil, errors.New("it is damaged: its checksum does not match")
			}
			return s, nil
		}
		var of heading
		r.parse(line, &of)
		construct := constructors[of.Kind]
		store := Store{Kind: of.Kind, Scope: of.Scope}
		for n := 0; n < of.Objects && r.err == nil; n++ {
			if line := r.line(); construct != nil {
				o := construct()
				r.parse(line, o)
				store.Objects = append(store.Objects, o)
			}
		}
		if construct != nil {
			s.Stores = append(s.Stores, store)
		}
	}
	return nil, r.err
}

// title reads the first line, and no more than 40 bytes of a file without it.
func (r *reader) title() error {
	beginning, err := r.Peek(40)
	if err != nil && err != io.EOF {
		return err
	}
	version := 0
	if _, err := fmt.Sscanf(string(beginning), title+" %d\n", &version); err != nil {
		return errors.New("it is not a snapshot of minilb")
	}
	if version != Version {
		return fmt.Errorf("its format is version %d, and this minilb reads version %d", version, Version)
	}
	r.line()
	return r.err
}

// line returns the next line with its newline, nil after an error. The last one has no newline and is not part of the sum.
func (r *reader) line() []byte {
	if r.err != nil {
		return nil
	}
	line, err := r.ReadBytes('\n')
	switch {
	case err == io.EOF && bytes.HasPrefix(line, []byte(sumMark)):
		return line
	case err == io.EOF:
		err = errors.New("it ends too early")
	}
	if r.err = err; err != nil {
		return nil
	}
	r.sum.Write(line)
	return line
}

func (r *reader) parse(line []byte, into any) {
	if r.err != nil {
		return
	}
	if err := json.Unmarshal(line, into); err != nil {
		r.err = fmt.Errorf("it is damaged: %w", err)
	}
}
