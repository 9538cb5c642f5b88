package source

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// accepted returns why the controller behind the parent does not count as having accepted the
// route, nil if it does (G20, G20b, G21).
func (a *attachment) accepted(r *route, ref parentRef, p *parent) *obstacle {
	if a.options.Unaccepted { // G23
		return nil
	}
	controller := "" // any, if the class cannot be read
	if class := a.classes[p.gateway.class]; class != nil {
		controller = class.controller
	}
	owner := func(v *verdict) bool { return controller == "" || v.controller == controller }
	entries := r.entries(ref, owner)
	for _, v := range entries {
		if v.accepted == conditionTrue {
			return nil
		}
	}
	for _, v := range entries {
		if v.accepted == conditionFalse {
			return obstruct(CauseRefused, "the controller of %s does not accept it (%s)", p.kindName, printable.Legible(v.reason))
		}
	}
	if len(entries) > 0 {
		return obstruct(CausePending, "the controller of %s has not decided on it yet (condition Accepted is %s)",
			p.kindName, printable.Legible(printable.Shorten(cmp.Or(entries[0].accepted, "not there"))))
	}
	var others []string
	for i := range r.verdicts {
		if v := &r.verdicts[i]; owner(v) && v.parent.kindName == ref.kindName && len(others) < maxObstacles {
			others = append(others, v.parent.String())
		}
	}
	if others != nil {
		return obstruct(CauseOtherStatus, "the route's status has an entry for %s alone, and none for %s", strings.Join(others, " and "), ref.String())
	}
	for _, v := range r.entries(ref, func(*verdict) bool { return true }) {
		if v.accepted == conditionTrue {
			return obstruct(CauseOtherControl, "it is accepted by controller %q, but GatewayClass %q of %s names controller %q",
				printable.Shorten(v.controller), printable.Shorten(p.gateway.class), p.gateway.kindName(), printable.Shorten(controller))
		}
	}
	for i := range r.verdicts { // none by its own controller: those have been looked at
		other := strconv.Quote(printable.Shorten(r.verdicts[i].controller))
		if r.verdicts[i].parent.kindName == ref.kindName && len(others) < maxObstacles && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	if others != nil {
		return obstruct(CauseOtherControl, "the route's status has an entry of controller %s alone, but GatewayClass %q of %s names controller %q",
			strings.Join(others, " and "), printable.Shorten(p.gateway.class), p.gateway.kindName(), printable.Shorten(controller))
	}
	return obstruct(CauseNoStatus, "the route's status has no entry for %s: %s", p.kindName, a.responsible(p.gateway.class, controller))
}

// responsible says whose word on a Gateway of the class is missing, and what to look for.
func (a *attachment) responsible(class, controller string) string {
	switch {
	case controller != "":
		return fmt.Sprintf("is controller %q of GatewayClass %q running?", printable.Shorten(controller), printable.Shorten(class))
	case a.classes[class] == nil && a.missing(kindName{kind: gatewayClassKind, name: class}).cause == CauseAbsent:
		return fmt.Sprintf("GatewayClass %q does not exist", printable.Shorten(class))
	}
	return fmt.Sprintf("is the controller of GatewayClass %q running?", printable.Shorten(class))
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
