package object

import (
	"strings"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// What is kept of one object (C7c). The API server bounds most fields and not these: an object can have
// 256 KiB of annotations and 1.5 MB in all, and a tenant as many objects as its quota lets it.
const (
	MaxHosts        = 1024     // of an object: as many as the API server lets a TLSRoute have
	MaxTargets      = 256      // addresses of a status
	MaxParents      = 64       // of a route, and as many verdicts; the API server allows 32
	MaxListeners    = 256      // of an object; the API server allows 64
	maxHostText     = 64 << 10 // bytes of all hosts that an object names
	maxValue        = 256      // bytes of an annotation that is no list of hosts
	maxMessage      = 240      // bytes of what a controller says
	maxProtocols    = 16       // that a Service names
	maxLint         = 5        // warnings about labels and annotations
	MaxProblems     = 32       // problems of single hosts or endpoints; the others are counted
	MaxLines        = 5        // problems of single hosts that are logged at a time, so that one object does not drown the others
	maxLabelText    = 64 << 10 // bytes of a Namespace's labels
	maxSelectorText = 8 << 10  // bytes of a listener's selector of Namespaces
	maxPorts        = 1024     // with names, of a slice or a Service, which can have 20,000 each
	MaxPortAddrs    = 1 << 20  // of the ports of a Service that not all endpoints have: its slices can have different ones
)

// keepHosts keeps the first MaxHosts hosts and maxHostText bytes of the host annotations, in the order of names, and does
// not keep the whole of a value that it cuts off in memory.
func (s *Service) keepHosts(annotations map[string]string, names []string) {
	text, hosts := maxHostText, MaxHosts // that are left
	for _, name := range names {
		value, there := annotations[name]
		if !there {
			continue
		}
		kept, dropped := 0, 0
		for rest, end := value, 0; ; rest = rest[end:] {
			rest = strings.TrimLeftFunc(rest, hostname.IsSeparator)
			if rest == "" {
				break
			}
			end = hostname.ItemEnd(rest)
			if upTo := len(value) - len(rest) + end; dropped > 0 || hosts == 0 || upTo > text {
				dropped++
			} else {
				kept, hosts = upTo, hosts-1
			}
		}
		if dropped > 0 || len(value) > text { // of white space, which is no host
			value = strings.Clone(value[:kept])
		}
		if dropped > 0 {
			s.Truncated = append(s.Truncated, Truncation{name, dropped})
		}
		if s.Hosts == nil {
			s.Hosts = map[string]string{}
		}
		s.Hosts[name] = value
		text -= len(value)
	}
}

// Truncation is how many hosts of an annotation are not kept.
type Truncation struct {
	Annotation string `json:",omitzero"`
	Dropped    int    `json:",omitzero"`
}

// distinctHosts returns the hosts of an object's spec, each once, as far as they are kept, and how many there are beside.
func distinctHosts[T any](all []T, hostOf func(T) string) (kept []string, surplus int) {
	seen, text := map[string]bool{}, 0
	for _, of := range all {
		switch host := hostOf(of); {
		case host == "" || seen[host]:
		case len(kept) >= MaxHosts, text+len(host) > maxHostText:
			surplus++
		default:
			seen[host] = true
			kept = append(kept, host)
			text += len(host)
		}
	}
	return kept, surplus
}

func textOf(labels map[string]string) int {
	n := 0
	for key, value := range labels {
		n += len(key) + len(value)
	}
	return n
}
