package object

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// HTTPS is what a Service says of how it serves HTTPS: that it does at all, by its TCP port 443.
type HTTPS struct {
	Port     string   `json:",omitzero"` // label of the port's name in the slices
	HasHTTP  bool     `json:",omitzero"` // it has a TCP port 80, too
	ALPN     []string `json:",omitzero"` // by its annotation alone, as it cannot be guessed (D51)
	Rejected []string `json:",omitzero"` // what is wrong with the annotation
}

// The ports that browsers go to. A Service without httpsPort may not have an HTTPS record, by which
// they would leave its httpPort (D50, RFC 9460 §9.5).
const (
	httpPort  = 80
	HttpsPort = 443
)

// reduceHTTPS returns nil if the Service does not serve HTTPS.
func reduceHTTPS(obj *corev1.Service) *HTTPS {
	tcp := func(number int32) int {
		return slices.IndexFunc(obj.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == number && protoLabel(p.Protocol) == "_tcp"
		})
	}
	i := tcp(HttpsPort)
	if i < 0 {
		return nil
	}
	h := &HTTPS{Port: serviceLabel(obj.Spec.Ports[i].Name), HasHTTP: tcp(httpPort) >= 0}
	if list := obj.Annotations[lb.ALPNAnnotation]; len(list) <= maxValue {
		h.ALPN, h.Rejected = parseALPN(list)
	} else {
		h.Rejected = []string{fmt.Sprintf("all protocols are refused: they have %d bytes, at most %d are read", len(list), maxValue)}
	}
	return h
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
