package resolvers_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// resolver is a program that a LAN's clients ask and that leaves some domains to minilb.
type resolver struct {
	name string

	// start has it leave the domains to the server at that address of loopback, and returns
	// the resolver's address.
	start func(t *testing.T, server string, domains []string) string
}

// resolvers are those of the recipes, with what these have users write and with the protections
// that some of the lines are for.
var resolvers = []resolver{
	{name: "unbound forward-zone", start: unboundForward},
	{name: "unbound stub-zone", start: unboundStub},
	{name: "dnsmasq", start: dnsmasqServer},
	{name: "BIND", start: bindForward},
	{name: "systemd-resolved", start: resolvedServer},
	{name: "PowerDNS Recursor", start: powerdnsForward},
	{name: "Knot Resolver", start: knotForward},
	{name: "CoreDNS", start: corednsForward},
	{name: "CoreDNS in the cluster", start: corednsInCluster},
}

// rootAnchor is the root's key: without it resolvers have nothing to validate by.
const rootAnchor = ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"

// unbound is one that runs.
type unbound struct {
	addr, config string
}

// startUnbound runs unbound with these lines in its server clause and these clauses beside it.
func startUnbound(t *testing.T, domain, server, clauses string) unbound {
	t.Helper()
	return startUnboundAt(t, harness.FreePorts(t, 1)[0], domain, server, clauses)
}

func startUnboundAt(t *testing.T, addr, domain, server, clauses string) unbound {
	t.Helper()
	path := harness.Program(t, "unbound", "unbound")
	_, port, _ := net.SplitHostPort(addr)
	config := harness.ConfigFile(t, "unbound.conf", `
server:
    directory: "DIR"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    num-threads: 1
    interface: 127.0.0.1
    port: `+port+`
    do-not-query-localhost: no
`+server+`
remote-control:
    control-enable: yes
    control-interface: "DIR/control"
    control-use-cert: no
`+clauses)
	harness.StartDaemon(t, harness.AnswersFor(addr, domain), path, "-d", "-c", config)
	return unbound{addr: addr, config: config}
}

// unboundProtections are what OPNsense and others ship: private addresses only for domains
// that may have them, and validation.
const unboundProtections = `
    private-address: 10.0.0.0/8
    private-address: fd00::/8
    trust-anchor: "` + rootAnchor + `"
`

func unboundForward(t *testing.T, server string, domains []string) string {
	return startUnbound(t, domains[0], unboundProtections, harness.ResolverRecipe(t, "Unbound", server, domains)[0]).addr
}

const unboundDomain = `
    private-domain: "DOMAIN"
    domain-insecure: "DOMAIN"
`

// unboundStub asks as an iterating resolver does: label by label, and in random case.
func unboundStub(t *testing.T, server string, domains []string) string {
	return startUnbound(t, domains[0], unboundProtections+harness.ForEach(domains, unboundDomain)+`
    qname-minimisation: yes
    use-caps-for-id: yes
    harden-below-nxdomain: yes
`, harness.ForEach(domains, `
stub-zone:
    name: "DOMAIN"
    stub-addr: `+strings.Replace(server, ":", "@", 1)+`
`)).addr
}

func dnsmasqServer(t *testing.T, server string, domains []string) string {
	return startDnsmasq(t, harness.AnswersFor, domains[0], "stop-dns-rebind\n"+harness.ResolverRecipe(t, "dnsmasq", server, domains)[0])
}

// startDnsmasq runs dnsmasq with these lines and returns its address, once ready's check of a
// domain succeeds.
func startDnsmasq(t *testing.T, ready func(addr, domain string) func() error, domain, lines string) string {
	t.Helper()
	addr := harness.FreePorts(t, 1)[0]
	startDnsmasqAt(t, addr, ready(addr, domain), lines)
	return addr
}

func startDnsmasqAt(t *testing.T, addr string, ready func() error, lines string) {
	t.Helper()
	path := harness.Program(t, "dnsmasq", "dnsmasq-base")
	config := harness.ConfigFile(t, "dnsmasq.conf", `
port=`+harness.PortOf(addr)+`
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
user=
`+lines)
	harness.StartDaemon(t, ready, path, "--keep-in-foreground", "--log-facility=-", "--conf-file="+config)
}

func bindForward(t *testing.T, server string, domains []string) string {
	addr := harness.FreePorts(t, 1)[0]
	blocks := harness.ResolverRecipe(t, "BIND", server, domains)
	harness.StartBIND(t, addr, domains[0], blocks[0]+blocks[2], blocks[1])
	return addr
}

func resolvedServer(t *testing.T, server string, domains []string) string {
	addr := harness.FreePorts(t, 1)[0]
	script := harness.ResolvedScript(t, addr, "CacheFromLocalhost=yes\nResolveUnicastSingleLabel=yes\n"+
		harness.ResolverRecipe(t, "systemd-resolved", server, domains)[0])
	unshare := harness.Program(t, "unshare", "util-linux")
	if out, err := harness.Run(t, unshare, "--mount", "true"); err != nil {
		t.Skipf("no mount namespace for systemd-resolved: %v %s", err, out)
	}
	if addrs, err := net.InterfaceAddrs(); err != nil || !slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.(*net.IPNet).IP.IsGlobalUnicast() }) {
		t.Skip("systemd-resolved asks nobody on a machine without a network")
	}
	harness.StartDaemon(t, harness.AnswersFor(addr, domains[0]), unshare, "--mount", "sh", script)
	return addr
}

// corednsForward has cache take the server's TTLs as they are: by itself it raises them to 5 (D21).
func corednsForward(t *testing.T, server string, domains []string) string {
	const cache = `
		bind 127.0.0.1
		errors
		cache {
			success 9984 3600 1
			denial 9984 1800 1
		}
`
	blocks := harness.ResolverRecipe(t, "CoreDNS", server, domains)[0]
	return harness.StartCoreDNS(t, harness.ServerBlock.ReplaceAllStringFunc(blocks, func(line string) string {
		return strings.TrimSpace(strings.TrimSuffix(line, "{")) + ":PORT {" + cache
	})).Addr
}

// corednsInCluster asks the ClusterIP of the servers.
func corednsInCluster(t *testing.T, server string, domains []string) string {
	block := strings.NewReplacer("minilb:53 {", "DOMAIN:PORT {\nbind 127.0.0.1", "10.96.0.53", server).
		Replace(harness.Recipe(t, "resolvers.md", "The cluster's own CoreDNS")[0])
	return harness.StartCoreDNS(t, harness.ForEach(domains, block)).Addr
}
