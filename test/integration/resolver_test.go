package integration_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
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
	{name: "CoreDNS", start: corednsForward},
}

// resolverRecipe returns the blocks for a resolver, each as it stands there once for every domain,
// with the server's address in the place of the nodes'.
func resolverRecipe(t *testing.T, heading, server string, domains []string) []string {
	t.Helper()
	blocks := recipe(t, "resolvers.md", heading)
	for i, block := range blocks {
		if strings.Contains(block, `{ "minilb"; };`) { // a list that has all of them
			block = strings.ReplaceAll(block, `"minilb";`, strings.TrimSpace(forEach(domains, `"DOMAIN"; `)))
		} else {
			block = forEach(domains, strings.ReplaceAll(block, "minilb", "DOMAIN"))
		}
		blocks[i] = atServer(block, server)
	}
	if all := strings.Join(blocks, ""); !strings.Contains(all, portOf(server)) || strings.Contains(all, "30053") {
		t.Fatalf("the recipe for %s does not name the nodes as the others do:\n%s", heading, all)
	}
	return blocks
}

// atServer puts the server's address in the place of the nodes', in every notation.
func atServer(text, server string) string {
	host, port, _ := net.SplitHostPort(server)
	for _, node := range []string{"192.168.1.30", "192.168.1.31"} {
		for _, separator := range []string{"#", "@", ":", " port "} {
			text = strings.ReplaceAll(text, node+separator+"30053", host+separator+port)
		}
	}
	return text
}

// forEach is the text once for each domain, which stands in it as DOMAIN.
func forEach(domains []string, text string) string {
	var all strings.Builder
	for _, domain := range domains {
		all.WriteString(strings.ReplaceAll(text, "DOMAIN", strings.TrimSuffix(domain, ".")))
	}
	return all.String()
}

// configFile writes a configuration in which DIR stands for a directory of its own.
func configFile(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	return path
}

// answersFor returns a check whether the server at addr knows the domain.
func answersFor(addr, domain string) func() error {
	return func() error {
		reply, err := ask(addr, "udp", domain, dns.TypeSOA)
		if err != nil {
			return err
		}
		if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 {
			return fmt.Errorf("%s SOA of %s: got\n%s", domain, addr, reply)
		}
		return nil
	}
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
	path := program(t, "unbound", "unbound")
	addr := freePorts(t, 1)[0]
	_, port, _ := net.SplitHostPort(addr)
	config := configFile(t, "unbound.conf", `
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
	startDaemon(t, answersFor(addr, domain), path, "-d", "-c", config)
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
	return startUnbound(t, domains[0], unboundProtections, resolverRecipe(t, "Unbound", server, domains)[0]).addr
}

const unboundDomain = `
    private-domain: "DOMAIN"
    domain-insecure: "DOMAIN"
`

// unboundStub asks as an iterating resolver does: label by label, and in random case.
func unboundStub(t *testing.T, server string, domains []string) string {
	return startUnbound(t, domains[0], unboundProtections+forEach(domains, unboundDomain)+`
    qname-minimisation: yes
    use-caps-for-id: yes
    harden-below-nxdomain: yes
`, forEach(domains, `
stub-zone:
    name: "DOMAIN"
    stub-addr: `+strings.Replace(server, ":", "@", 1)+`
`)).addr
}

func dnsmasqServer(t *testing.T, server string, domains []string) string {
	return startDnsmasq(t, answersFor, domains[0], "stop-dns-rebind\n"+resolverRecipe(t, "dnsmasq", server, domains)[0])
}

// startDnsmasq runs dnsmasq with these lines and returns its address, once ready's check of a
// domain succeeds.
func startDnsmasq(t *testing.T, ready func(addr, domain string) func() error, domain, lines string) string {
	t.Helper()
	path := program(t, "dnsmasq", "dnsmasq-base")
	addr := freePorts(t, 1)[0]
	config := configFile(t, "dnsmasq.conf", `
port=`+portOf(addr)+`
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
user=
`+lines)
	startDaemon(t, ready(addr, domain), path, "--keep-in-foreground", "--log-facility=-", "--conf-file="+config)
	return addr
}

// startBIND runs named at addr with these options and zones.
func startBIND(t *testing.T, addr, domain, options, zones string) *daemon {
	t.Helper()
	path := program(t, "named", "bind9")
	host, port, _ := net.SplitHostPort(addr)
	config := configFile(t, "named.conf", `
options {
	directory "DIR";
	pid-file none;
	session-keyfile none;
	lock-file none;
	listen-on port `+port+` { `+host+`; };
	listen-on-v6 { none; };
	`+options+`
};
controls { };
`+zones)
	return startDaemon(t, answersFor(addr, domain), path, "-g", "-n", "1", "-c", config)
}

func bindForward(t *testing.T, server string, domains []string) string {
	addr := freePorts(t, 1)[0]
	blocks := resolverRecipe(t, "BIND", server, domains)
	startBIND(t, addr, domains[0], blocks[0]+blocks[2], blocks[1])
	return addr
}

// resolvedServer runs systemd-resolved where its files are its own. That package is not to be
// installed: doing so changes how the machine resolves names. MINILB_RESOLVED names a directory
// that Debian's systemd-resolved and libsystemd-shared have been unpacked into.
func resolvedServer(t *testing.T, server string, domains []string) string {
	root := os.Getenv("MINILB_RESOLVED")
	if root == "" {
		t.Skip("$MINILB_RESOLVED does not name where systemd-resolved is unpacked: see .ci/run")
	}
	libraries, err := filepath.Glob(root + "/usr/lib/*/systemd")
	must(t, err)
	unshare := program(t, "unshare", "util-linux")
	if out, err := run(t, unshare, "--mount", "true"); err != nil {
		t.Skipf("no mount namespace for systemd-resolved: %v %s", err, out)
	}
	if addrs, err := net.InterfaceAddrs(); err != nil || !slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.(*net.IPNet).IP.IsGlobalUnicast() }) {
		t.Skip("systemd-resolved asks nobody on a machine without a network")
	}
	addr := freePorts(t, 1)[0]
	config := configFile(t, "resolved.conf", `
[Resolve]
DNS=
FallbackDNS=
Domains=
DNSSEC=no
MulticastDNS=no
LLMNR=no
CacheFromLocalhost=yes
ResolveUnicastSingleLabel=yes
DNSStubListener=no
DNSStubListenerExtra=`+addr+`
`+resolverRecipe(t, "systemd-resolved", server, domains)[0])
	const user = "systemd-resolve" // which it becomes
	script := configFile(t, "start", `set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/resolved.conf.d
cp `+config+` /run/systemd/resolved.conf.d/zz-test.conf
for file in passwd group; do
	grep -v '^`+user+`:' /etc/$file >/run/$file
done
echo "`+user+`:x:64999:64999::/:/usr/sbin/nologin" >>/run/passwd
echo "`+user+`:x:64999:" >>/run/group
for file in passwd group; do
	mount --bind /run/$file /etc/$file
done
export LD_LIBRARY_PATH=`+strings.Join(libraries, ":")+`
exec `+root+`/lib/systemd/systemd-resolved
`)
	startDaemon(t, answersFor(addr, domains[0]), unshare, "--mount", "sh", script)
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
	blocks := resolverRecipe(t, "CoreDNS", server, domains)[0]
	return startCoreDNS(t, serverBlock.ReplaceAllStringFunc(blocks, func(line string) string {
		return strings.TrimSpace(strings.TrimSuffix(line, "{")) + ":PORT {" + cache
	})).addr
}
