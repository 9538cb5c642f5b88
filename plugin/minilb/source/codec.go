package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// codec writes objects into a snapshot or reads them out of one. Each type names its fields once,
// in a method that works in both directions, so that what is written and what is read cannot
// differ. What it writes it does not change, as others read it at the same time. Whatever it
// reads, it does not panic, and takes no more memory than a multiple of it.
type codec struct {
	out *bufio.Writer // nil while reading
	in  []byte        // what is left to be read
	err error         // the first; nothing is read or written any longer
}

var errShort = errors.New("it ends too early")

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err, c.in = err, nil
	}
}

// write takes what bufio.Writer's methods return.
func (c *codec) write(_ int, err error) {
	if err != nil {
		c.fail(err)
	}
}

// number writes n, or returns the one that is read instead.
func (c *codec) number(n uint64) uint64 {
	if c.out != nil {
		c.write(c.out.Write(binary.AppendUvarint(c.out.AvailableBuffer(), n)))
		return n
	}
	n, size := binary.Uvarint(c.in)
	if size <= 0 {
		c.fail(errShort)
		return 0
	}
	c.in = c.in[size:]
	return n
}

// length is number for how many items follow, each of which takes a byte at least.
func (c *codec) length(n int) int {
	read := c.number(uint64(n))
	if c.out == nil && read > uint64(len(c.in)) {
		c.fail(errShort)
		return 0
	}
	return int(read)
}

// present is length for what may be missing altogether, -1 for that.
func (c *codec) present(n int) int {
	read := c.number(uint64(n + 1))
	if c.out == nil && read > uint64(len(c.in))+1 {
		c.fail(errShort)
		return -1
	}
	return int(read) - 1
}

// bytes returns the bytes that are read, which are not to be kept.
func (c *codec) bytes(b []byte) []byte {
	n := c.length(len(b))
	if c.out != nil {
		c.write(c.out.Write(b))
		return b
	}
	b, c.in = c.in[:n], c.in[n:]
	return b
}

func text[T ~string](s *T, c *codec) {
	if c.out != nil {
		c.length(len(*s))
		c.write(c.out.WriteString(string(*s)))
		return
	}
	*s = T(c.bytes(nil))
}

// shared is text that many objects have.
func shared[T ~string](s *T, c *codec) {
	text(s, c)
	if c.out == nil {
		*s = T(intern(string(*s)))
	}
}

func flag(b *bool, c *codec) {
	var n uint64
	if *b {
		n = 1
	}
	if n = c.number(n); n > 1 {
		c.fail(fmt.Errorf("there is a %d for a truth", n))
	}
	if c.out == nil {
		*b = n == 1
	}
}

func integer[T ~int | ~int32 | ~int64 | ~uint16 | ~uint32](v *T, c *codec) {
	n := int64(*v)
	read := c.number(uint64(n<<1) ^ uint64(n>>63)) // small negative ones are short, too
	if c.out != nil {
		return
	}
	n = int64(read>>1) ^ -int64(read&1)
	if *v = T(n); int64(*v) != n {
		c.fail(fmt.Errorf("the number %d is out of its range", n))
		*v = 0
	}
}

func repeated[T any](l *[]T, c *codec, fields func(*T, *codec)) {
	const grown = 64 // what more is read grows as it comes: a length alone takes no memory
	n := -1
	if *l != nil {
		n = len(*l)
	}
	n = c.present(n)
	if c.out == nil && n >= 0 {
		*l = make([]T, 0, min(n, grown))
	}
	for i := range n {
		if c.err != nil {
			return
		}
		if c.out == nil {
			var zero T
			*l = append(*l, zero)
		}
		fields(&(*l)[i], c)
	}
}

func maybe[T any](p **T, c *codec, fields func(*T, *codec)) {
	there := *p != nil
	flag(&there, c)
	if there && *p == nil {
		*p = new(T)
	}
	if there {
		fields(*p, c)
	}
}

func pairs[M ~map[string]string](m *M, c *codec) {
	n := -1
	if *m != nil {
		n = len(*m)
	}
	n = c.present(n)
	if c.out != nil {
		for _, key := range slices.Sorted(maps.Keys(*m)) {
			value := (*m)[key]
			text(&key, c)
			text(&value, c)
		}
		return
	}
	if n >= 0 {
		*m = M{}
	}
	for range n {
		if c.err != nil {
			return
		}
		var key, value string
		text(&key, c)
		text(&value, c)
		(*m)[key] = value
	}
}

func address(a *netip.Addr, c *codec) {
	written, _ := a.MarshalBinary() // it never fails
	if read := c.bytes(written); c.out == nil {
		if err := a.UnmarshalBinary(read); err != nil {
			c.fail(err)
		}
	}
}

func objectName(n *cache.ObjectName, c *codec) {
	shared(&n.Namespace, c)
	text(&n.Name, c)
}

// What a selector of labels can be, beside a list of requirements.
const (
	noSelector = iota
	selectsNothing
	selectsEverything
	selectsBy
)

func selector(s *labels.Selector, c *codec) {
	var requirements []labels.Requirement
	form := uint64(noSelector)
	if *s != nil {
		selectable := false
		switch requirements, selectable = (*s).Requirements(); {
		case !selectable:
			form = selectsNothing
		case len(requirements) == 0:
			form = selectsEverything
		default:
			form = selectsBy
		}
	}
	form = c.number(form)
	if form == selectsBy {
		repeated(&requirements, c, requirement)
	}
	if c.out != nil {
		return
	}
	switch form {
	case noSelector:
	case selectsNothing:
		*s = labels.Nothing()
	case selectsEverything:
		*s = labels.Everything()
	case selectsBy:
		*s = labels.NewSelector().Add(requirements...)
	default:
		c.fail(fmt.Errorf("there is no selector of form %d", form))
	}
}

func requirement(r *labels.Requirement, c *codec) {
	key, op, values := r.Key(), r.Operator(), r.ValuesUnsorted()
	if len(values) == 0 {
		values = nil
	}
	text(&key, c)
	text(&op, c)
	repeated(&values, c, text)
	if c.out != nil || c.err != nil {
		return
	}
	read, err := labels.NewRequirement(key, op, values)
	if err != nil {
		c.fail(err)
		return
	}
	*r = *read
}
