package translator

import (
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/gateway"
)

// dependencies implement claim.Services. The run loop owns them.
type dependencies struct {
	services *services
	routes   *gateway.Routes
	found    map[cache.ObjectName]*exposedService // as of when the resolver asked
}

func (d *dependencies) Exposed(name cache.ObjectName) bool {
	e, _ := d.services.find(name)
	if e == nil {
		delete(d.found, name)
		return false
	}
	d.found[name] = e
	return true
}

func (d *dependencies) Pending(name cache.ObjectName) bool {
	e, pending := d.services.find(name)
	return pending || e != nil // exposed since Exposed was called
}

func (d *dependencies) InNamespace(name string) bool { return d.services.inNamespace(name) }

func (d *dependencies) NamespaceExists(name string) bool { return d.routes.NamespaceExists(name) }

// service returns an exposed Service that claims lead to.
func (d *dependencies) service(name cache.ObjectName) *exposedService { return d.found[name] }
