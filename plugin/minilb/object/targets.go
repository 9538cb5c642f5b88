package object

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"
	netutils "k8s.io/utils/net"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Address returns the target as people write it, "" if an annotation names a Service (M7).
func (t *Target) Address() string {
	if t.Addr.IsValid() {
		return t.Addr.String()
	}
	return hostname.Plain(t.Host)
}

// Target is what a claimed name leads to, one of the three (M1).
type Target struct {
	Addr    netip.Addr       `json:",omitzero"`
	Service cache.ObjectName `json:",omitzero"`
	Host    string           `json:",omitzero"` // canonical; a name that may turn out to be a Service's, claimed, or external (M3, M6)
}

// Targets is where an object's annotation or status says that its hosts are served.
type Targets struct {
	Ref
	List     []Target  `json:",omitzero"`
	Problems []Problem `json:",omitzero"` // what of the object could not be used, one a host or target
	Missing  string    `json:",omitzero"` // why there are no targets, if there are none (M2)
}

func (l *Targets) AddProblem(reason Reason, format string, args ...any) {
	l.Problems = append(l.Problems, Problem{Ref: &l.Ref, Reason: reason, Text: fmt.Sprintf(format, args...)})
}

// AddSurplus adds the problem of surplus hosts, if there are any.
func (l *Targets) AddSurplus(surplus int, where string) {
	if surplus > 0 {
		l.AddProblem(ReasonTooMany, "%d hosts%s are refused: an object may have %d, of %d KiB in all", surplus, where, MaxHosts, maxHostText>>10)
	}
}

// SetService makes the Service named by the annotation, "[namespace/]name", the only target (M7).
func (l *Targets) SetService(reference string) {
	reference = printable.Cut(reference, maxValue) // or a name within would keep all of it
	namespace, name, qualified := strings.Cut(strings.TrimSpace(reference), "/")
	if !qualified {
		namespace, name = l.Namespace, namespace
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Label(name)) > 0 {
		l.Missing = fmt.Sprintf("annotation %s is %q, want [namespace/]name", lb.ServiceAnnotation, printable.Shorten(reference))
		return
	}
	l.List = []Target{{Service: cache.NewObjectName(namespace, name)}}
}

// AddIP adds an address as controllers write it, leading zeros and all (I8).
func (l *Targets) AddIP(written string) {
	addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(written))
	if !ok || !usable(addr.Unmap()) {
		l.AddProblem(ReasonAddress, "status address %q is not an IP address that can be answered with", printable.Shorten(written))
		l.Missing = "its status has no usable address"
		return
	}
	l.List = append(l.List, Target{Addr: addr.Unmap()})
}

// Limit leaves out the addresses that the property addresses does not let in (D34).
func (l *Targets) Limit(networks []netip.Prefix) {
	l.List = slices.DeleteFunc(slices.Clone(l.List), func(t Target) bool {
		out := t.Addr.IsValid() && !In(networks, t.Addr)
		if out {
			l.AddProblem(ReasonUnlisted, "status address %q is left out: it lies in no network of the Corefile's property addresses", t.Addr)
			l.Missing = "its status has no address in a network of the Corefile's property addresses"
		}
		return out
	})
}

// AddHost adds a hostname, which cannot be a wildcard.
func (l *Targets) AddHost(written string) {
	host, err := hostname.Parse(written)
	if err == nil && strings.HasPrefix(host, "*.") {
		err = errors.New("it is a wildcard")
	}
	switch {
	case err != nil:
		l.AddProblem(ReasonAddress, "status hostname %q cannot be answered with: %v", printable.Shorten(written), err)
		l.Missing = "its status has no usable address"
	case hostname.IsLocalhost(host): // D30
		l.Missing = fmt.Sprintf("its address %q is whoever asks for it; annotation %s can name a Service instead", printable.Shorten(written), lb.ServiceAnnotation)
	case l.isInCluster(host):
		l.Missing = inCluster(written)
	default:
		l.List = append(l.List, Target{Host: host})
	}
}

// isInCluster reports whether a name is one of the cluster's own DNS, which nobody outside could follow. Another cluster
// domain than cluster.local is recognized by the object's own namespace before "svc".
func (l *Targets) isInCluster(host string) bool {
	labels := dns.SplitDomainName(host)
	return strings.HasSuffix(host, ".svc.") || strings.HasSuffix(host, ".svc.cluster.local.") ||
		len(labels) > 3 && labels[1] == l.Namespace && labels[2] == "svc"
}

func inCluster(written string) string {
	return fmt.Sprintf("its address %q can be reached in the cluster alone; annotation %s can name a Service instead", printable.Shorten(written), lb.ServiceAnnotation)
}
