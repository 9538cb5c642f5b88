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

// resolvers are those of the README, with what it has users write and with the protections
// that these lines are for.
var resolvers = []resolver{
	{name: "unbound forward-zone", start: unboundForward},
	{name: "unbound stub-zone", start: unboundStub},
	{name: "dnsmasq", start: dnsmasqServer},
	{name: "BIND", start: bindForward},
	{name: "systemd-resolved", start: resolvedServer},
	{name: "CoreDNS", start: corednsForward},
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

const unboundDomain = `
    private-domain: "DOMAIN"
    domain-insecure: "DOMAIN"
`

func unboundForward(t *testing.T, server string, domains []string) string {
	return startUnbound(t, domains[0], unboundProtections+forEach(domains, unboundDomain), forEach(domains, `
forward-zone:
    name: "DOMAIN"
    forward-addr: `+strings.Replace(server, ":", "@", 1)+`
`)).addr
}

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
	path := program(t, "dnsmasq", "dnsmasq-base")
	addr := freePorts(t, 1)[0]
	_, port, _ := net.SplitHostPort(addr)
	config := configFile(t, "dnsmasq.conf", `
port=`+port+`
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
user=
stop-dns-rebind
`+forEach(domains, `
server=/DOMAIN/`+strings.Replace(server, ":", "#", 1)+`
rebind-domain-ok=/DOMAIN/
`))
	startDaemon(t, answersFor(addr, domains[0]), path, "--keep-in-foreground", "--log-facility=-", "--conf-file="+config)
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
	host, port, _ := net.SplitHostPort(server)
	startBIND(t, addr, domains[0], "validate-except { "+forEach(domains, `"DOMAIN"; `)+"};", forEach(domains, `
zone "DOMAIN" { type forward; forward only; forwarders { `+host+` port `+port+`; }; };
`))
	return addr
}

// resolvedServer runs systemd-resolved where its files are its own. That package is not among
// those that tests ask for: installing it changes how the machine resolves names.
func resolvedServer(t *testing.T, server string, domains []string) string {
	const path = "/usr/lib/systemd/systemd-resolved"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("systemd-resolved is not installed: %v", err)
	}
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
DNS=`+server+`
FallbackDNS=
Domains=
Domains=`+forEach(domains, "~DOMAIN ")+`
DNSSEC=no
MulticastDNS=no
LLMNR=no
CacheFromLocalhost=yes
ResolveUnicastSingleLabel=yes
DNSStubListener=no
DNSStubListenerExtra=`+addr+`
`)
	const dropIns = "/run/systemd/resolved.conf.d"
	startDaemon(t, answersFor(addr, domains[0]), unshare, "--mount", "sh", "-c",
		"mount -t tmpfs none /run && mkdir -p "+dropIns+" && cp "+config+" "+dropIns+"/zz-test.conf && exec "+path)
	return addr
}

// corednsForward has cache take the server's TTLs as they are: by itself it raises them to 5 (D21).
func corednsForward(t *testing.T, server string, domains []string) string {
	return startCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		errors
		cache {
			success 9984 3600 1
			denial 9984 1800 1
		}
		`+forEach(domains, "forward DOMAIN "+server+"\n")+`
	}`).addr
}
