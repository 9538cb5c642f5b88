package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// A snapshot is a line of text that says so, with the version of the format; then what a codec
// writes: the header and the tables; then the SHA-256 of all before it.
const (
	formatName    = "minilb snapshot"
	formatVersion = 4
)

// header is what a snapshot says of itself.
type header struct {
	written int64  // when the API server had the state, in unix seconds
	host    string // the API server
	// What the objects were read for: of what nobody asked for, nothing is kept.
	classes         []string // of Services, "" for those without one
	hostAnnotations []string
	https           bool
	gateways        bool // it is known what there is of the Gateway API
}

func (h *header) CodecFields(c *object.Codec) {
	object.Integer(&h.written, c)
	object.Text(&h.host, c)
	object.Repeated(&h.classes, c, object.Text)
	object.Repeated(&h.hostAnnotations, c, object.Text)
	object.Flag(&h.https, c)
	object.Flag(&h.gateways, c)
}

// section names a table: the kind of its objects, and the namespace that they are limited to, ""
// for none.
type section struct{ kind, scope string }

func (s *section) CodecFields(c *object.Codec) {
	object.Text(&s.kind, c)
	object.Text(&s.scope, c)
}

// holds reports whether an object of the kind belongs into the table of that scope.
func (s section) holds(o keyed) bool {
	key := o.Key()
	return s.scope == "" || s.scope == key.Namespace || s.kind == "namespace" && s.scope == key.Name
}

// blanks make the objects of each kind.
var blanks = map[string]func() keyed{
	"service":                                func() keyed { return &object.Service{} },
	"endpointslice":                          func() keyed { return &object.EndpointSlice{} },
	"ingress":                                func() keyed { return &object.Ingress{} },
	"namespace":                              func() keyed { return &object.Namespace{} },
	strings.ToLower(object.KindGatewayClass): func() keyed { return &object.GatewayClass{} },
	strings.ToLower(object.KindGateway):      func() keyed { return &object.Gateway{} },
	strings.ToLower(object.KindListenerSet):  func() keyed { return &object.ListenerSet{} },
	strings.ToLower(object.KindXListenerSet): func() keyed { return &object.ListenerSet{} },
	strings.ToLower(object.KindHTTPRoute):    func() keyed { return &object.Route{} },
	strings.ToLower(object.KindGRPCRoute):    func() keyed { return &object.Route{} },
	strings.ToLower(object.KindTLSRoute):     func() keyed { return &object.Route{} },
}

// header returns what a snapshot says that is written now.
func (w *Watcher) header() header {
	return header{
		written:         time.Now().Add(-w.server.away()).Unix(),
		host:            w.host,
		classes:         w.CodecFields.Classes,
		hostAnnotations: w.CodecFields.HostAnnotations,
		https:           w.CodecFields.HTTPS,
		gateways:        w.gatewayAPI.health.synced.Load(),
	}
}

// encode writes a snapshot of the tables. Each of them waits while the list of its objects is
// copied, and no longer: the objects themselves never change.
func (w *Watcher) encode(out io.Writer, h header) error {
	sum := sha256.New()
	c := &object.Codec{Out: bufio.NewWriterSize(io.MultiWriter(out, sum), 64<<10)}
	_, err := fmt.Fprintf(c.Out, "%s %d\n", formatName, formatVersion)
	c.Write(0, err)
	h.CodecFields(c)
	for _, t := range w.stored {
		if there := t.state().synced.Load(); there {
			object.Flag(&there, c)
			t.save(c)
		}
	}
	end := false
	object.Flag(&end, c)
	c.Write(0, c.Out.Flush())
	if c.Err != nil {
		return c.Err
	}
	_, err = out.Write(sum.Sum(nil))
	return err
}

// state is what a snapshot holds.
type state struct {
	header
	sections map[section][]keyed
}

// maxBeginning is within how many bytes the line ends that a snapshot begins with.
const maxBeginning = 40

// readBeginning returns what follows the line that a snapshot begins with, in what is known of it.
func readBeginning(snapshot []byte) (rest []byte, err error) {
	line, _, found := bytes.Cut(snapshot[:min(len(snapshot), maxBeginning)], []byte("\n"))
	var version int
	if n, err := fmt.Sscanf(string(line), formatName+" %d", &version); !found || n != 1 || err != nil {
		return nil, errors.New("it is not a snapshot of minilb")
	}
	if version != formatVersion {
		return nil, fmt.Errorf("its format is version %d, and this minilb reads version %d", version, formatVersion)
	}
	return snapshot[len(line)+1:], nil
}

// readState reads a snapshot. Nothing of one is used unless all of it is as it was written.
func readState(snapshot []byte) (*state, error) {
	rest, err := readBeginning(snapshot)
	if err != nil {
		return nil, err
	}
	content := len(rest) - sha256.Size
	if content < 0 {
		return nil, object.ErrShort
	}
	if sum := sha256.Sum256(snapshot[:len(snapshot)-sha256.Size]); !bytes.Equal(sum[:], rest[content:]) {
		return nil, errors.New("it is damaged: its checksum does not match")
	}
	return readContent(rest[:content])
}

// readContent reads what stands between the first line and the checksum.
func readContent(content []byte) (*state, error) {
	c := &object.Codec{In: content}
	s := &state{sections: map[section][]keyed{}}
	s.header.CodecFields(c)
	for {
		more := false
		object.Flag(&more, c)
		if !more {
			break
		}
		var of section
		of.CodecFields(c)
		blank := blanks[of.kind]
		if blank == nil {
			c.Fail(fmt.Errorf("there is no kind %q", printable.Shorten(of.kind)))
			break
		}
		objects := []keyed{}
		for range c.Length(0) {
			if c.Err != nil {
				break
			}
			o := blank()
			o.CodecFields(c)
			objects = append(objects, o)
		}
		s.sections[of] = objects
	}
	if c.Err == nil && len(c.In) > 0 {
		c.Fail(fmt.Errorf("there are %d bytes too many", len(c.In)))
	}
	if c.Err != nil {
		return nil, c.Err
	}
	return s, nil
}

// objects returns those of a table, also out of one of all namespaces. It reports whether they
// are known.
func (s *state) objects(of section) ([]keyed, bool) {
	if objects, known := s.sections[of]; known || of.scope == "" {
		return objects, known
	}
	all, known := s.sections[section{kind: of.kind}]
	return slices.DeleteFunc(slices.Clone(all), func(o keyed) bool { return !of.holds(o) }), known
}

// suits returns why a state cannot stand for what the Watcher would read, nil if it can.
func (s *state) suits(w *Watcher) error {
	if s.host != w.host {
		return fmt.Errorf("it is of the API server %q, and not of %q", s.host, w.host)
	}
	for _, class := range w.CodecFields.Classes {
		switch {
		case slices.Contains(s.classes, class):
		case class == "":
			return errors.New("it was written without default_class")
		default:
			return fmt.Errorf("it was written without the class %q", class)
		}
	}
	for _, name := range w.CodecFields.HostAnnotations {
		if !slices.Contains(s.hostAnnotations, name) {
			return fmt.Errorf("it was written without the host_annotations %q", name)
		}
	}
	if w.CodecFields.HTTPS && !s.https {
		return errors.New("it was written without https")
	}
	return nil
}
