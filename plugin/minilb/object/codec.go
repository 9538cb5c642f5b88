package object

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

// Codec writes objects into a snapshot or reads them out of one. Each type names its fields once,
// in a method that works in both directions, so that what is written and what is read cannot
// differ. What it writes it does not change, as others read it at the same time. Whatever it
// reads, it does not panic, and takes no more memory than a multiple of it.
type Codec struct {
	Out *bufio.Writer // nil while reading
	In  []byte        // what is left to be read
	Err error         // the first; nothing is read or written any longer
}

var ErrShort = errors.New("it ends too early")

func (c *Codec) Fail(err error) {
	if c.Err == nil {
		c.Err, c.In = err, nil
	}
}

// Write takes what bufio.Writer's methods return.
func (c *Codec) Write(_ int, err error) {
	if err != nil {
		c.Fail(err)
	}
}

// number writes n, or returns the one that is read instead.
func (c *Codec) number(n uint64) uint64 {
	if c.Out != nil {
		c.Write(c.Out.Write(binary.AppendUvarint(c.Out.AvailableBuffer(), n)))
		return n
	}
	n, size := binary.Uvarint(c.In)
	if size <= 0 {
		c.Fail(ErrShort)
		return 0
	}
	c.In = c.In[size:]
	return n
}

// Length is number for how many items follow, each of which takes a byte at least.
func (c *Codec) Length(n int) int {
	read := c.number(uint64(n))
	if c.Out == nil && read > uint64(len(c.In)) {
		c.Fail(ErrShort)
		return 0
	}
	return int(read)
}

// present is length for what may be missing altogether, -1 for that.
func (c *Codec) present(n int) int {
	read := c.number(uint64(n + 1))
	if c.Out == nil && read > uint64(len(c.In))+1 {
		c.Fail(ErrShort)
		return -1
	}
	return int(read) - 1
}

// Bytes returns the bytes that are read, which are not to be kept.
func (c *Codec) Bytes(b []byte) []byte {
	n := c.Length(len(b))
	if c.Out != nil {
		c.Write(c.Out.Write(b))
		return b
	}
	b, c.In = c.In[:n], c.In[n:]
	return b
}

func Text[T ~string](s *T, c *Codec) {
	if c.Out != nil {
		c.Length(len(*s))
		c.Write(c.Out.WriteString(string(*s)))
		return
	}
	*s = T(c.Bytes(nil))
}

// shared is text that many objects have.
func shared[T ~string](s *T, c *Codec) {
	Text(s, c)
	if c.Out == nil {
		*s = T(Intern(string(*s)))
	}
}

func Flag(b *bool, c *Codec) {
	var n uint64
	if *b {
		n = 1
	}
	if n = c.number(n); n > 1 {
		c.Fail(fmt.Errorf("there is a %d for a truth", n))
	}
	if c.Out == nil {
		*b = n == 1
	}
}

func Integer[T ~int | ~int32 | ~int64 | ~uint16 | ~uint32](v *T, c *Codec) {
	n := int64(*v)
	read := c.number(uint64(n<<1) ^ uint64(n>>63)) // small negative ones are short, too
	if c.Out != nil {
		return
	}
	n = int64(read>>1) ^ -int64(read&1)
	if *v = T(n); int64(*v) != n {
		c.Fail(fmt.Errorf("the number %d is out of its range", n))
		*v = 0
	}
}

func Repeated[T any](l *[]T, c *Codec, fields func(*T, *Codec)) {
	const grown = 64 // what more is read grows as it comes: a length alone takes no memory
	n := -1
	if *l != nil {
		n = len(*l)
	}
	n = c.present(n)
	if c.Out == nil && n >= 0 {
		*l = make([]T, 0, min(n, grown))
	}
	for i := range n {
		if c.Err != nil {
			return
		}
		if c.Out == nil {
			var zero T
			*l = append(*l, zero)
		}
		fields(&(*l)[i], c)
	}
}

func maybe[T any](p **T, c *Codec, fields func(*T, *Codec)) {
	there := *p != nil
	Flag(&there, c)
	if there && *p == nil {
		*p = new(T)
	}
	if there {
		fields(*p, c)
	}
}

func pairs[M ~map[string]string](m *M, c *Codec) {
	n := -1
	if *m != nil {
		n = len(*m)
	}
	n = c.present(n)
	if c.Out != nil {
		for _, key := range slices.Sorted(maps.Keys(*m)) {
			value := (*m)[key]
			Text(&key, c)
			Text(&value, c)
		}
		return
	}
	if n >= 0 {
		*m = M{}
	}
	for range n {
		if c.Err != nil {
			return
		}
		var key, value string
		Text(&key, c)
		Text(&value, c)
		(*m)[key] = value
	}
}

func Address(a *netip.Addr, c *Codec) {
	written, _ := a.MarshalBinary() // it never fails
	if read := c.Bytes(written); c.Out == nil {
		if err := a.UnmarshalBinary(read); err != nil {
			c.Fail(err)
		}
	}
}

func objectName(n *cache.ObjectName, c *Codec) {
	shared(&n.Namespace, c)
	Text(&n.Name, c)
}

// What a selector of labels can be, beside a list of requirements.
const (
	noSelector = iota
	selectsNothing
	selectsEverything
	selectsBy
)

func Selector(s *labels.Selector, c *Codec) {
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
		Repeated(&requirements, c, requirement)
	}
	if c.Out != nil {
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
		c.Fail(fmt.Errorf("there is no selector of form %d", form))
	}
}

func requirement(r *labels.Requirement, c *Codec) {
	key, op, values := r.Key(), r.Operator(), r.ValuesUnsorted()
	if len(values) == 0 {
		values = nil
	}
	Text(&key, c)
	Text(&op, c)
	Repeated(&values, c, Text)
	if c.Out != nil || c.Err != nil {
		return
	}
	read, err := labels.NewRequirement(key, op, values)
	if err != nil {
		c.Fail(err)
		return
	}
	*r = *read
}
