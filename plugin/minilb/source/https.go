package source

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// https is what a Service says of how it serves HTTPS: that it does at all, by its TCP port 443.
type https struct {
	port    string   // label of the port's name in the slices
	plain   bool     // it has a TCP port 80, too
	alpn    []string // by its annotation alone, as it cannot be guessed (D51)
	refused []string // what is wrong with the annotation
}

// The ports that browsers go to. A Service without httpsPort may not have an HTTPS record, by which
// they would leave its httpPort (D50, RFC 9460 §9.5).
const (
	httpPort  = 80
	httpsPort = 443
)

// maxProtocols is how many protocols a Service may name.
const maxProtocols = 16

// reduceHTTPS returns nil if the Service does not serve HTTPS.
func reduceHTTPS(obj *corev1.Service) *https {
	var h *https
	plain := false
	for i := range obj.Spec.Ports {
		switch p := &obj.Spec.Ports[i]; {
		case protoLabel(p.Protocol) != "_tcp":
		case p.Port == httpPort:
			plain = true
		case p.Port == httpsPort:
			h = &https{port: serviceLabel(p.Name)}
			if list := obj.Annotations[lb.ALPNAnnotation]; len(list) <= maxValue {
				h.alpn, h.refused = parseALPN(list)
			} else {
				h.refused = []string{fmt.Sprintf("all protocols are refused: they have %d bytes, at most %d are read", len(list), maxValue)}
			}
		}
	}
	if h != nil {
		h.plain = plain
	}
	return h
}

func (h *https) equal(o *https) bool {
	if h == nil || o == nil {
		return h == o
	}
	return h.port == o.port && h.plain == o.plain && slices.Equal(h.alpn, o.alpn) && slices.Equal(h.refused, o.refused)
}

// parseALPN reads a comma-separated list of protocols (RFC 9460 §7.1.1), each once, in its order.
func parseALPN(list string) (alpn, refused []string) {
	seen := map[string]bool{}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "" || seen[item]:
		case len(alpn) == maxProtocols:
			return alpn, append(refused, fmt.Sprintf("only the first %d protocols are answered with", maxProtocols))
		case len(item) > 255 || strings.ContainsFunc(item, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\`, r) }):
			if len(refused) == maxProtocols {
				return alpn, append(refused, "the protocols after these are left out")
			}
			refused = append(refused, fmt.Sprintf("protocol %q is refused: want one such as h2 or http/1.1", printable.Shorten(item)))
		default:
			seen[item] = true
			alpn = append(alpn, item)
		}
	}
	return alpn, refused
}

// binding returns what the HTTPS record says: nothing unless all sets of ports that endpoints have
// agree on where the port is served. Where that is not 443, a Service with a port 80 has no record:
// Chromium takes it for a reason to go to https, but not to that port, so that a page breaks which
// worked over http (D50).
func binding(h *https, sets [][]port) *records.Binding {
	if h == nil {
		return nil
	}
	number := uint16(0)
	for _, set := range sets {
		own := uint16(0)
		for _, p := range set {
			if p.proto == "_tcp" && p.service == h.port {
				own = p.number
			}
		}
		if own == 0 || number != 0 && number != own {
			return nil
		}
		number = own
	}
	if number == 0 || number != httpsPort && h.plain {
		return nil
	}
	return &records.Binding{Port: number, ALPN: h.alpn}
}
