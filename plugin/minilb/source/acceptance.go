package source

import (
	"fmt"
	"slices"
)

// accepted returns why the controller behind the parent does not count as having accepted the
// route, "" if it does (G20, G21).
func (a *attachment) accepted(r *route, ref parentRef, p *parent) string {
	if a.options.Unaccepted { // G23
		return ""
	}
	class := a.classes[p.gateway.class] // nil if it cannot be read: then any controller's word counts
	why := fmt.Sprintf("the controller of %s has not accepted it yet", p.kindName)
	for _, v := range r.entries(ref, func(v *verdict) bool { return class == nil || v.controller == class.controller }) {
		switch v.accepted {
		case conditionTrue:
			return ""
		case conditionFalse:
			why = fmt.Sprintf("the controller of %s does not accept it (%s)", p.kindName, printable(shorten(v.reason)))
		}
	}
	return why
}

// entries returns those of the status, of the controllers that count, that speak of a parentRef. Those
// that are equal do, and without one those of the same parent that are not another parentRef's and do
// not contradict: many controllers leave the port out, or the section, or fill it in (G20).
func (r *route) entries(ref parentRef, counts func(*verdict) bool) (entries []*verdict) {
	exact := false
	for i := range r.verdicts {
		v := &r.verdicts[i]
		equal := v.parent == ref
		switch {
		case !counts(v):
		case equal && !exact:
			entries, exact = []*verdict{v}, true
		case equal, !exact && v.parent.agrees(&ref) && !slices.Contains(r.parents, v.parent):
			entries = append(entries, v)
		}
	}
	return entries
}

// agrees reports whether two references are to the same parent, and to no different parts of it.
func (ref *parentRef) agrees(other *parentRef) bool {
	return ref.kindName == other.kindName &&
		(ref.section == other.section || ref.section == "" || other.section == "") &&
		(ref.port == other.port || ref.port == 0 || other.port == 0)
}
