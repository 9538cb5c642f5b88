package main

import "fmt"

// corefileText is the resolver of a LAN, but that it is bound to this machine alone.
func (p *playground) corefileText() string {
	return fmt.Sprintf(`# CoreDNS reads this file again within seconds of a change.
.:%s {
    bind 127.0.0.1
    errors
    health %s
    ready %s
    prometheus %s
    reload 2s 1s

    # Names of Services end in .minilb; hosts that objects claim are answered wherever they are.
    minilb minilb {
        kubeconfig %q
        ttl 5
    }

    # All else goes to the playground's own upstream.
    cache
    forward . %s
}
`, p.ports.dnsPort(), p.ports.health, p.ports.ready, p.ports.metrics, p.rights.dns, p.ports.upstream)
}
