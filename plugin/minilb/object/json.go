package object

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Objects are kept in snapshots as JSON with the names of their fields. Whatever is read there, nothing may panic later:
// what could is an error.

// UnmarshalJSON implements the json.Unmarshaler interface.
func (p *Problem) UnmarshalJSON(data []byte) error {
	type plain Problem
	if err := json.Unmarshal(data, (*plain)(p)); err != nil {
		return err
	}
	if p.Ref == nil {
		return errors.New("there is a problem of no object")
	}
	return nil
}

// UnmarshalJSON implements the json.Unmarshaler interface.
func (e *Endpoints) UnmarshalJSON(data []byte) error {
	type plain Endpoints
	if err := json.Unmarshal(data, (*plain)(e)); err != nil {
		return err
	}
	for i, node := range e.Nodes {
		e.Nodes[i] = intern(node)
	}
	fits := func(n int, none bool) bool { return none || n == e.Len() }
	switch n := e.Width; {
	case n == 0 && e.Packed != nil:
		return errors.New("there are endpoints without a width")
	case n != 0 && n != 4+1 && n != 16+1:
		return fmt.Errorf("there are endpoints of %d bytes", n)
	case len(e.Packed)%max(1, n) != 0 || !fits(len(e.Hostnames), e.Hostnames == nil) || !fits(len(e.Nodes), e.Nodes == nil) || !fits(len(e.Pods), e.Pods == nil):
		return fmt.Errorf("%d bytes, %d hostnames, %d nodes and %d pods cannot be those of endpoints that take %d bytes each",
			len(e.Packed), len(e.Hostnames), len(e.Nodes), len(e.Pods), n)
	}
	return nil
}

type selectionJSON struct {
	From     gatewayv1.FromNamespaces `json:",omitzero"`
	Selector *selectorJSON            `json:",omitzero"`
}

// selectorJSON is a selector of labels as JSON: what meets all requirements, or nothing.
type selectorJSON struct {
	Nothing      bool              `json:",omitzero"`
	Requirements []requirementJSON `json:",omitzero"`
}

type requirementJSON struct {
	Key    string
	Op     selection.Operator
	Values []string `json:",omitempty"`
}

// MarshalJSON implements the json.Marshaler interface.
func (s NamespaceSelection) MarshalJSON() ([]byte, error) {
	out := selectionJSON{From: s.From}
	if s.Selector != nil {
		requirements, selectable := s.Selector.Requirements()
		out.Selector = &selectorJSON{Nothing: !selectable}
		for _, r := range requirements {
			out.Selector.Requirements = append(out.Selector.Requirements, requirementJSON{r.Key(), r.Operator(), r.ValuesUnsorted()})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements the json.Unmarshaler interface.
func (s *NamespaceSelection) UnmarshalJSON(data []byte) error {
	var in selectionJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*s = NamespaceSelection{From: in.From}
	switch {
	case in.Selector == nil && in.From != gatewayv1.NamespacesFromSelector:
	case in.Selector == nil, in.Selector.Nothing:
		s.Selector = labels.Nothing()
	default:
		s.Selector = labels.Everything()
		for _, r := range in.Selector.Requirements {
			requirement, err := labels.NewRequirement(r.Key, r.Op, r.Values)
			if err != nil {
				return err
			}
			s.Selector = s.Selector.Add(*requirement)
		}
	}
	return nil
}
