package routes

import (
	"cmp"
	"fmt"
	"strings"
)

// bird writes a static protocol for each family, for a file that bird.conf includes.
func bird(t *table) string {
	text := t.problems()
	for _, family := range []string{"ipv4", "ipv6"} {
		routes := t.of(family == "ipv4")
		if len(routes) == 0 {
			continue
		}
		text += fmt.Sprintf("protocol static minilb_%s {\n\t%[1]s;\n", family)
		for _, e := range routes {
			text += fmt.Sprintf("\troute %s via %s; # %s\n", e.Destination, e.Gateway, e.Node)
		}
		text += "}\n"
	}
	return text
}

const (
	// defaultASN is the first of those for private use (RFC 6996).
	defaultASN = 64512
	// maxLabel is the length of a label's value, by which a FRRConfiguration names its node.
	maxLabel = 63
)

// frrK8s writes a FRRConfiguration for each node: it advertises its own pod network to the LAN's router. A session is for the
// family of its addresses.
func frrK8s(t *table) string {
	var text strings.Builder
	prefixes := map[string][]string{} // by node
	for _, e := range t.of(t.Gateway.Is4()) {
		prefixes[e.Node] = append(prefixes[e.Node], fmt.Sprintf("%q", e.Destination))
	}
	text.WriteString(t.lines(func(e Entry) string {
		all := prefixes[e.Node]
		switch {
		case e.Destination.Addr().Is4() != t.Gateway.Is4():
			return comment(t.comment, e, fmt.Sprintf("no route for %s by a session with %s: run this again with -gateway of that family", e.Destination, t.Gateway))
		case all == nil: // written with the node's first
			return ""
		case len(e.Node) > maxLabel:
			return comment(t.comment, e, fmt.Sprintf("its name is longer than a label can be (%s)", e.Destination))
		}
		delete(prefixes, e.Node)
		return fmt.Sprintf(`---
apiVersion: frrk8s.metallb.io/v1beta1
kind: FRRConfiguration
metadata:
  name: "minilb-%s-%s"
spec:
  nodeSelector:
    matchLabels:
      kubernetes.io/hostname: %[2]q
  bgp:
    routers:
    - asn: %d
      prefixes: [%[4]s]
      neighbors:
      - address: %q
        dynamicASN: external
        toAdvertise:
          allowed:
            prefixes: [%[4]s]
`, e.by("ipv4", "ipv6"), e.Node, cmp.Or(t.ASN, defaultASN), strings.Join(all, ", "), t.Gateway)
	}))
	return text.String()
}
