package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// accepted returns why the parent's controller does not count as having accepted the route, nil if it does (G20, G20b, G21).
func (rs *Routes) accepted(r *object.Route, ref object.ParentRef, p *parent) *obstacle {
	if rs.options.IgnoreAccepted { // G23
		return nil
	}
	controller := "" // any, if the class cannot be read
	if class := rs.classes[classNamed(p.gateway.Class)]; class != nil {
		controller = class.Controller
	}
	owner := func(v *object.RouteStatus) bool { return controller == "" || v.Controller == controller }
	entries := r.Entries(ref, owner)
	for _, v := range entries {
		if v.Accepted == object.ConditionTrue {
			return nil
		}
	}
	for _, v := range entries {
		if v.Accepted == object.ConditionFalse {
			return obstruct(CauseRefused, "the controller of %s does not accept it (%s)", p.KindName, printable.Legible(v.Reason))
		}
	}
	if len(entries) > 0 {
		return obstruct(CausePending, "the controller of %s has not decided on it yet (condition Accepted is %s)",
			p.KindName, printable.Legible(printable.Shorten(cmp.Or(entries[0].Accepted, "not there"))))
	}
	var others []string
	for i := range r.Statuses {
		if v := &r.Statuses[i]; owner(v) && v.Parent.KindName == ref.KindName && len(others) < maxObstacles {
			others = append(others, v.Parent.String())
		}
	}
	if others != nil {
		return obstruct(CauseOtherStatus, "the route's status has an entry for %s alone, and none for %s", strings.Join(others, " and "), ref.String())
	}
	for _, v := range r.Entries(ref, func(*object.RouteStatus) bool { return true }) {
		if v.Accepted == object.ConditionTrue {
			return obstruct(CauseOtherControl, "it is accepted by controller %q, but GatewayClass %q of %s names controller %q",
				printable.Shorten(v.Controller), printable.Shorten(p.gateway.Class), p.gateway.KindName(), printable.Shorten(controller))
		}
	}
	for i := range r.Statuses { // none by its own controller: those have been looked at
		other := strconv.Quote(printable.Shorten(r.Statuses[i].Controller))
		if r.Statuses[i].Parent.KindName == ref.KindName && len(others) < maxObstacles && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	if others != nil {
		return obstruct(CauseOtherControl, "the route's status has an entry of controller %s alone, but GatewayClass %q of %s names controller %q",
			strings.Join(others, " and "), printable.Shorten(p.gateway.Class), p.gateway.KindName(), printable.Shorten(controller))
	}
	return obstruct(CauseNoStatus, "the route's status has no entry for %s: %s", p.KindName, rs.responsible(p.gateway.Class, controller))
}

// responsible returns which controller has not written a status of a Gateway of the class, and what to check.
func (rs *Routes) responsible(class, controller string) string {
	switch {
	case controller != "":
		return fmt.Sprintf("is controller %q of GatewayClass %q running?", printable.Shorten(controller), printable.Shorten(class))
	case rs.classes[classNamed(class)] == nil && rs.missing(classNamed(class)).cause == CauseAbsent:
		return fmt.Sprintf("GatewayClass %q does not exist", printable.Shorten(class))
	}
	return fmt.Sprintf("is the controller of GatewayClass %q running?", printable.Shorten(class))
}
