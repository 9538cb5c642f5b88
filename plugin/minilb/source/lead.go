package source

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"
	netutils "k8s.io/utils/net"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// target is what a claimed name leads to, one of the three (M1).
type target struct {
	addr    netip.Addr
	service cache.ObjectName
	host    string // canonical; a name that may turn out to be a Service's, claimed, or external (M3, M6)
}

// lead is where an object's annotation or status says that its hosts are served.
type lead struct {
	owner
	targets  []target
	problems []problem // what of the object could not be used, one a host or target
	missing  string    // why there are no targets, if there are none (M2)
}

func (l *lead) problem(reason Reason, format string, args ...any) {
	l.problems = append(l.problems, problem{owner: &l.owner, reason: reason, text: fmt.Sprintf(format, args...)})
}

// tooMany adds the problem of surplus hosts, if there are any.
func (l *lead) tooMany(surplus int, where string) {
	if surplus > 0 {
		l.problem(ReasonTooMany, "%d hosts%s are refused: an object may have %d, of %d KiB in all", surplus, where, maxHosts, maxHostText>>10)
	}
}

// aimAtService makes the Service named by the annotation, "[namespace/]name", the only target (M7).
func (l *lead) aimAtService(reference string) {
	reference = printable.Cut(reference, maxValue) // or a name within would keep all of it
	namespace, name, qualified := strings.Cut(strings.TrimSpace(reference), "/")
	if !qualified {
		namespace, name = l.namespace, namespace
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Label(name)) > 0 {
		l.missing = fmt.Sprintf("annotation %s is %q, want [namespace/]name", lb.ServiceAnnotation, printable.Shorten(reference))
		return
	}
	l.targets = []target{{service: cache.NewObjectName(namespace, name)}}
}

// aimAtIP adds an address as controllers write it, leading zeros and all (I8).
func (l *lead) aimAtIP(written string) {
	addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(written))
	if !ok || !Usable(addr.Unmap()) {
		l.problem(ReasonAddress, "status address %q is not an IP address that can be answered with", printable.Shorten(written))
		l.missing = "its status has no usable address"
		return
	}
	l.targets = append(l.targets, target{addr: addr.Unmap()})
}

// limit leaves out the addresses that the property addresses does not let in (D34).
func (l *lead) limit(networks []netip.Prefix) {
	let := make([]target, 0, len(l.targets))
	for _, t := range l.targets {
		if t.addr.IsValid() && !In(networks, t.addr) {
			l.problem(ReasonUnlisted, "status address %q is left out: it lies in no network of the Corefile's property addresses", t.addr)
			l.missing = "its status has no address in a network of the Corefile's property addresses"
		} else {
			let = append(let, t)
		}
	}
	if len(let) < len(l.targets) {
		l.targets = let
	}
}

// aimAtHost adds a hostname, which cannot be a wildcard.
func (l *lead) aimAtHost(written string) {
	host, err := parseHost(written)
	if err == nil && strings.HasPrefix(host, "*.") {
		err = errors.New("it is a wildcard")
	}
	if err == nil && IsLocalhost(host) { // D30
		l.missing = fmt.Sprintf("its address %q is whoever asks for it; annotation %s can name a Service instead", printable.Shorten(written), lb.ServiceAnnotation)
		return
	}
	if err == nil && l.isInCluster(host) {
		l.missing = inCluster(written)
		return
	}
	if err != nil {
		l.problem(ReasonAddress, "status hostname %q cannot be answered with: %v", printable.Shorten(written), err)
		l.missing = "its status has no usable address"
		return
	}
	l.targets = append(l.targets, target{host: host})
}

// isInCluster reports whether a name is one of the cluster's own DNS, as controllers give it of
// a Service that has no other: nobody outside could follow an alias of it. Another cluster domain
// than the usual one is told from the public DNS by the object's own namespace before "svc".
func (l *lead) isInCluster(host string) bool {
	labels := dns.SplitDomainName(host)
	return strings.HasSuffix(host, ".svc.") || strings.HasSuffix(host, ".svc.cluster.local.") ||
		len(labels) > 3 && labels[1] == l.namespace && labels[2] == "svc"
}

func inCluster(written string) string {
	return fmt.Sprintf("its address %q can be reached in the cluster alone; annotation %s can name a Service instead", printable.Shorten(written), lb.ServiceAnnotation)
}
