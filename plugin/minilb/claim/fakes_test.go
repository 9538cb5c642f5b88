package claim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// testClaim makes a claim of an owner "Kind namespace/name created" on hosts, which leads to
// targets: addresses, "svc:namespace/name", or host names.
func testClaim(ownedBy, hosts string, targets ...string) *Claim {
	c := &Claim{}
	var id string
	fmt.Sscan(ownedBy, &c.Kind, &id, &c.Created)
	c.Namespace, c.Name, _ = strings.Cut(id, "/")
	c.Hosts = strings.Fields(hosts)
	for _, written := range targets {
		if service, ok := strings.CutPrefix(written, "svc:"); ok {
			namespace, name, _ := strings.Cut(service, "/")
			c.List = append(c.List, object.Target{Service: cache.NewObjectName(namespace, name)})
		} else if addr, err := netip.ParseAddr(written); err == nil {
			c.List = append(c.List, object.Target{Addr: addr})
		} else {
			c.List = append(c.List, object.Target{Host: written})
		}
	}
	return c
}

// exposures makes Services "namespace/name" that are served.
func exposures(options *config.Options, names ...string) fakeServices {
	services := fakeServices{}
	for _, id := range names {
		namespace, name, _ := strings.Cut(id, "/")
		services[cache.NewObjectName(namespace, name)] = true
	}
	options.Services = true
	return services
}

// fakeServices are exposed if true, else pending.
type fakeServices map[cache.ObjectName]bool

func (s fakeServices) Exposed(name cache.ObjectName) bool { return s[name] }

func (s fakeServices) Pending(name cache.ObjectName) bool {
	exposed, known := s[name]
	return known && !exposed
}

func (s fakeServices) InNamespace(namespace string) bool {
	for name, exposed := range s {
		if exposed && name.Namespace == namespace {
			return true
		}
	}
	return false
}

func (s fakeServices) NamespaceExists(namespace string) bool { return namespace == "kube-system" }

// resolve resolves claims at once.
func resolve(options *config.Options, claims []*Claim, services Services) *Resolver {
	r := NewResolver(options, services)
	of := map[object.KindName][]*Claim{}
	for _, c := range claims {
		name := object.KindName{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}
		of[name] = append(of[name], c)
	}
	for name, claims := range of {
		r.Set(name, claims...)
	}
	r.Resolve()
	return r
}

// resolutions returns what the claimed names lead to that lead anywhere.
func resolutions(r *Resolver) map[string]Resolution {
	all := map[string]Resolution{}
	for name := range r.hosts {
		if resolution, found := r.Resolution(name); found {
			all[name] = resolution
		}
	}
	return all
}

// render writes an outcome as the targets it came from.
func (o Resolution) render() string {
	var parts []string
	for _, addr := range o.Addrs {
		parts = append(parts, addr.String())
	}
	for _, service := range o.Services {
		parts = append(parts, "svc:"+service.String())
	}
	parts = append(parts, o.External...)
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), " ")
}
