package source

import (
	"strings"
)

// What is kept of one object (C7c). The API server bounds most fields and not these: an object can have
// 256 KiB of annotations and 1.5 MB in all, and a tenant as many objects as its quota lets it.
const (
	maxHosts        = 1024     // of an object: as many as the API server lets a TLSRoute have
	maxTargets      = 256      // addresses of a status
	maxHostText     = 64 << 10 // bytes of all hosts that an object names
	maxValue        = 256      // bytes of an annotation that is no list of hosts
	maxFlaws        = 32       // problems of single hosts or endpoints; the others are counted
	maxLabelText    = 64 << 10 // bytes of a Namespace's labels
	maxSelectorText = 8 << 10  // bytes of a listener's selector of Namespaces
)

// keepHosts keeps the host annotations of a Service, of more than maxHosts hosts or maxHostText bytes the first ones, in the
// order of the annotations' names. What is dropped leaves nothing of the whole value in memory.
func (s *service) keepHosts(annotations map[string]string, names []string) {
	text, hosts := maxHostText, maxHosts // that are left
	for _, name := range names {
		value, there := annotations[name]
		if !there {
			continue
		}
		kept, dropped := 0, 0
		for rest, end := value, 0; ; rest = rest[end:] {
			rest = strings.TrimLeftFunc(rest, separates)
			if rest == "" {
				break
			}
			end = itemEnd(rest)
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
			s.shortened = append(s.shortened, shortening{name, dropped})
		}
		if s.hosts == nil {
			s.hosts = map[string]string{}
		}
		s.hosts[name] = value
		text -= len(value)
	}
}

// shortening says how many hosts of an annotation are not kept.
type shortening struct {
	annotation string
	hosts      int
}

// hostList are hosts of an object's spec, each once, as far as they are kept.
type hostList struct {
	hosts   []string
	surplus int // how many there are beside
	seen    map[string]bool
	text    int // bytes
}

func (l *hostList) add(host string) {
	switch {
	case l.seen[host]:
	case len(l.hosts) >= maxHosts, l.text+len(host) > maxHostText:
		l.surplus++
	default:
		if l.seen == nil {
			l.seen = map[string]bool{}
		}
		l.seen[host] = true
		l.hosts = append(l.hosts, host)
		l.text += len(host)
	}
}

// textOf returns how many bytes the keys and values take.
func textOf(labels map[string]string) int {
	n := 0
	for key, value := range labels {
		n += len(key) + len(value)
	}
	return n
}
