package gateway

import (
	"maps"
	"slices"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// ParentStatus is what has become of one of a route's parentRefs.
type ParentStatus struct {
	Parent    string           `json:"parent"` // as in "Gateway shop/web", with the section or port if one is named
	Cause     Cause            `json:"cause"`  // why the route is not attached there, "" if it is
	Message   string           `json:"why"`    // the same for people
	Listeners []ListenerStatus `json:"listeners"`
}

// ListenerStatus is what becomes of a host at one listener.
type ListenerStatus struct {
	Name    string `json:"name"`
	Host    string `json:"hostname"` // the listener's, "" for any
	Port    int32  `json:"port"`     // 0 for one that the controller chooses
	Message string `json:"why"`      // why it does not serve the host, "" if it does
}

// Explain returns the status of each parentRef for a name, and the served hosts, canonical, that are the name or cover it.
func (rs *Routes) Explain(r *object.Route, name string) ([]ParentStatus, []string) {
	var parents []ParentStatus
	hosts := map[string]bool{}
	for _, ref := range rs.parents(r) {
		at := ParentStatus{Parent: ref.String()}
		served := newServings()
		if attached, o := rs.attach(r, ref, served); !attached && o != nil {
			at.Cause, at.Message = o.cause, o.text
			if o.cause == CauseAbsent {
				at.Message += rs.similar(ref.KindName)
			}
		}
		for host := range served.byHost {
			if hostname.Matches(host, name) {
				hosts[host+"."] = true
			}
		}
		if p, _ := rs.parent(ref.KindName); p != nil {
			at.Listeners = rs.listeners(r, ref, p, name)
		}
		parents = append(parents, at)
	}
	return parents, slices.Sorted(maps.Keys(hosts))
}

// similar names parents of the same name elsewhere, and of almost the same name.
func (rs *Routes) similar(absent object.KindName) string {
	var names []string
	consider := func(name object.KindName) {
		if name.Kind == absent.Kind && (name.Name == absent.Name || name.Namespace == absent.Namespace && lb.LikelyTypo(name.Name, absent.Name)) {
			names = append(names, name.Namespace+"/"+name.Name)
		}
	}
	for name := range rs.gateways {
		consider(name)
	}
	for name := range rs.sets {
		consider(name)
	}
	if names == nil {
		return ""
	}
	slices.Sort(names)
	return "; there is " + strings.Join(names[:min(maxObstacles, len(names))], ", ")
}

// listeners returns for each listener of a parent why it does not serve the name for the route.
func (rs *Routes) listeners(r *object.Route, ref object.ParentRef, p *parent, name string) []ListenerStatus {
	var all []ListenerStatus
	for n := range p.listeners {
		l := &p.listeners[n]
		v := ListenerStatus{Name: l.Name, Host: l.Host, Port: l.Port}
		serves := func(host string) bool {
			common := hostname.Intersect(l.Host, host)
			return common != "" && hostname.Matches(common, name)
		}
		switch why := rs.rejects(p, l, r); {
		case !ref.Matches(l):
			v.Message = "the parentRef asks for another sectionName or port"
		case why != "":
			v.Message = "it " + why
		case !slices.ContainsFunc(r.Hosts, serves):
			v.Message = "its hostname and the route's have nothing in common that is this name"
		}
		all = append(all, v)
	}
	return all
}
