package object

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Share is how often a host that leads to several Services is answered with this one (L3).
type Share struct {
	Weight   *uint16 `json:",omitzero"` // nil for the default, as is Priority
	Priority *uint16 `json:",omitzero"`
}

// number returns the number in an annotation, nil if it is not there or malformed, which it adds to what is rejected.
func number(annotations map[string]string, name string, most uint16, rejected *[]string) *uint16 {
	text, there := annotations[name]
	if !there {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || n > uint64(most) {
		*rejected = append(*rejected, fmt.Sprintf("annotation %s is %q and has no effect: want a number from 0 to %d", name, printable.Shorten(text), most))
		return nil
	}
	return new(uint16(n))
}

// TTLOf returns the TTL that the annotations of a Service ask for, 0 for none or one that is malformed.
func TTLOf(annotations map[string]string) uint32 {
	return uint32(ptr.Deref(ttlOf(annotations, new([]string)), 0))
}

// ttlOf returns the TTL of the records that an object asks for, in seconds; nil for the server's (L2).
func ttlOf(annotations map[string]string, rejected *[]string) *uint16 {
	return number(annotations, lb.TTLAnnotation, lb.MaxTTL, rejected)
}

// shareOf returns the share that a Service asks for.
func shareOf(annotations map[string]string, rejected *[]string) Share {
	return Share{
		Weight:   number(annotations, lb.WeightAnnotation, lb.MaxShare, rejected),
		Priority: number(annotations, lb.PriorityAnnotation, lb.MaxShare, rejected),
	}
}
