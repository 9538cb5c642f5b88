package claim

import (
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// SelectsIngress reports whether an Ingress is of a class that counts: controllers differ in which of the two goes
// first (I6).
func SelectsIngress(o *config.Options, i *object.Ingress) bool {
	return len(o.IngressClasses) == 0 || slices.ContainsFunc(i.Classes, func(class string) bool { return slices.Contains(o.IngressClasses, class) })
}

// FromIngress returns what an Ingress claims, or nil.
func FromIngress(o *config.Options, i *object.Ingress) *Claim {
	if i.Ignored || len(i.Hosts) == 0 || !SelectsIngress(o, i) {
		return nil
	}
	c := &Claim{Targets: object.Targets{Ref: i.Ref("Ingress")}, TTL: i.TTL}
	c.AddRejected(i.Rejected)
	c.AddHosts(slices.Values(i.Hosts), "") // I5: the API server lets labels of any length through
	c.AddSurplus(i.Surplus, "")
	if i.Service != nil {
		c.SetService(*i.Service)
		return c
	}
	for _, address := range i.Addresses {
		if address.IP != "" {
			c.AddIP(address.IP)
		}
		if address.Hostname != "" {
			c.AddHost(address.Hostname)
		}
	}
	c.Limit(o.Addresses)
	if len(c.List) == 0 && c.Missing == "" {
		c.Missing = "its status has no address yet; is its ingress controller running and publishing one?"
	}
	return c
}

// FromService returns what an exposed Service claims by its annotations, or nil (I10, I11, M9).
func FromService(o *config.Options, s *object.Service) *Claim {
	c := &Claim{Targets: object.Targets{
		Ref:  s.Ref("Service"),
		List: []object.Target{{Service: cache.NewObjectName(s.Namespace, s.Name)}},
	}, TTL: s.TTL}
	c.AddRejected(s.Rejected)
	zone := ""
	if len(o.Zones) > 0 {
		zone = o.Zones[0]
	}
	for _, annotation := range o.HostAnnotations {
		dropped := 0
		if i := slices.IndexFunc(s.Truncated, func(s object.Truncation) bool { return s.Annotation == annotation }); i >= 0 {
			dropped = s.Truncated[i].Dropped
		}
		c.addRelative(hostname.Split(s.Hosts[annotation]), zone, " in annotation "+annotation, dropped)
	}
	if s.HTTPS != nil && o.HTTPS {
		for _, text := range s.HTTPS.Rejected {
			c.AddProblem(object.ReasonALPN, "in annotation %s, %s", lb.ALPNAnnotation, text)
		}
	}
	if c.Hosts == nil && c.Problems == nil {
		return nil
	}
	return c
}
