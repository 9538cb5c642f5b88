package translator

import (
	"k8s.io/client-go/tools/cache"
)

// dependencies is the exposure of a Translator's claims.
type dependencies struct {
	*services
	found map[cache.ObjectName]*exposedService // as of when the resolver asked; the run loop owns it
}

func (d *dependencies) takeRenamed() map[cache.ObjectName]bool {
	renamed := d.services.takeRenamed()
	for name := range renamed {
		delete(d.found, name)
	}
	return renamed
}

func (d *dependencies) Exposed(name cache.ObjectName) bool {
	e, _ := d.find(name)
	if e == nil {
		delete(d.found, name)
		return false
	}
	d.found[name] = e
	return true
}

func (d *dependencies) Pending(name cache.ObjectName) bool {
	e, pending := d.find(name)
	return pending || e != nil // exposed since Exposed was called
}
