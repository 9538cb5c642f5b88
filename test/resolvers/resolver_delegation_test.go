package resolvers_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// delegatedZones are the zones that the parent delegates: one to name servers of its own, and
// one to a name of the parent's. SELF and OTHER are two addresses of the server.
const delegatedZones = `
minilb    NS  ns1.minilb
ns1.minilb A  SELF
ns1.minilb A  OTHER
named     NS  dns
dns       A   SELF
`

// parentZone is the parent, and rootZone the root, so that a resolver has to follow it down.
// PARENT is the address of their server.
const (
	parentZone = `
$ORIGIN lan.example.
$TTL 1
@   SOA ns hostmaster 1 3600 600 86400 1
@   NS  ns
ns  A   PARENT
` + delegatedZones
	rootZone = `
$ORIGIN .
$TTL 1
@   SOA ns.lan.example. hostmaster.lan.example. 1 3600 600 86400 1
@   NS  ns.lan.example.
lan.example. NS ns.lan.example.
ns.lan.example. A PARENT
`
)

// What users are told to write into the parent's zone is what is tried below.
func TestRecipeForDelegation(t *testing.T) {
	block := harness.Recipe(t, "resolvers.md", "Delegation")[0]
	got := strings.Fields(strings.NewReplacer("192.168.1.30", "SELF", "192.168.1.31", "OTHER").Replace(block))
	own, _, _ := strings.Cut(delegatedZones, "named")
	if want := strings.Fields(own); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// delegatedTTL is long enough for a resolver on a busy machine: when an answer has expired before its
// question is done, BIND says NXDOMAIN without the SOA.
const delegatedTTL = 30

// TestDelegation has the zones delegated by servers that are not ours, and resolvers that know
// nothing but these find their way.
func TestDelegation(t *testing.T) {
	t.Parallel()
	addrs := dnsAddrs(t, 3)
	self, other, parent := addrs[0], addrs[1], addrs[2]
	c := harness.Shared(t)
	zones := []string{"minilb.lan.example.", "named.lan.example."}
	namespace := applyResolverState(t, c, zones...)

	kubeconfig := harness.ShippedAccounts(t, c).DNS
	s := harness.LaunchCoreDNS(t, harness.CoreDNSBinary, `minilb.lan.example:53 {
		bind `+self+` `+other+`
		READY
		errors
		minilb {
			kubeconfig `+kubeconfig+`
			namespaces `+namespace+`
			ttl `+fmt.Sprint(delegatedTTL)+`
		}
	}
	named.lan.example:53 {
		bind `+self+`
		errors
		minilb {
			kubeconfig `+kubeconfig+`
			namespaces `+namespace+`
			ttl `+fmt.Sprint(delegatedTTL)+`
			ns dns.lan.example
		}
	}`)
	s.Addr = net.JoinHostPort(self, "53")
	s.WaitListening(t)
	s.WaitReady(t)
	for _, zone := range zones {
		cluster.Eventually(t, 10*time.Second, func() error {
			return s.Expect("x.wild."+namespace+"."+zone, dns.TypeA, "10.244.9.1", "10.244.9.2")
		})
	}

	fill := strings.NewReplacer("SELF", self, "OTHER", other, "PARENT", parent).Replace
	bind := harness.FreePorts(t, 1)[0]
	harness.StartBIND(t, bind, "lan.example.", "recursion no; dnssec-validation no;", `zone "lan.example" { type primary; file "`+harness.ConfigFile(t, "zone", fill(parentZone))+`"; };`)
	knot := net.JoinHostPort(parent, "53")
	startKnot(t, knot, map[string]string{"lan.example.": fill(parentZone), ".": fill(rootZone)})

	for name, server := range map[string]string{"BIND": bind, "Knot": knot} {
		for _, zone := range zones {
			t.Run(name+" refers "+zone, func(t *testing.T) { testReferral(t, server, s.Addr, "web."+namespace+"."+zone, zone) })
		}
	}
	t.Run("authority", func(t *testing.T) {
		for _, zone := range zones {
			for _, n := range zoneNames(namespace, zone, delegatedTTL) {
				for _, network := range []string{"udp", "tcp"} {
					if reply, err := s.Ask(network, n.name, dns.TypeA); err != nil || !reply.Authoritative {
						t.Errorf("%s A over %s: got %v, %v, want it with AA", n.name, network, reply, err)
					}
				}
			}
		}
	})

	// The root's hints are for who starts there, the stub zone for who knows the parent.
	hints := harness.ConfigFile(t, "root.hints", ". 3600 IN NS ns.lan.example.\nns.lan.example. 3600 IN A "+parent+"\n")
	const strict = `
    qname-minimisation: yes
    qname-minimisation-strict: yes
    use-caps-for-id: yes
    harden-below-nxdomain: yes
    harden-glue: yes
    harden-referral-path: yes
    harden-algo-downgrade: yes
    log-servfail: yes
`
	askBoth := func(t *testing.T, resolver, addr string) {
		for _, zone := range zones {
			askAll(t, resolver, addr, zoneNames(namespace, zone, delegatedTTL))
		}
	}
	askUnbound := func(t *testing.T, server, clauses string) string {
		u := startUnbound(t, zones[0], strict+server, clauses)
		askBoth(t, "unbound", u.addr)
		// What it has found out about the server.
		infra, err := harness.Run(t, harness.Program(t, "unbound-control", "unbound"), "-c", u.config, "dump_infra")
		harness.Must(t, err)
		for _, addr := range []string{self, other} {
			if i := strings.Index(infra, addr+" minilb.lan.example."); i < 0 || !strings.Contains(strings.SplitN(infra[i:], "\n", 2)[0], " edns 0 delay 0 lame dnssec 0 rec 0 A 0 other 0") {
				t.Errorf("unbound holds for lame, or has not asked, %s:\n%s", addr, infra)
			}
		}
		return u.addr
	}
	t.Run("unbound below BIND", func(t *testing.T) {
		askUnbound(t, "", `
stub-zone:
    name: "lan.example"
    stub-addr: `+strings.Replace(bind, ":", "@", 1)+`
`)
	})
	t.Run("unbound from the root", func(t *testing.T) { askUnbound(t, "    root-hints: \""+hints+"\"\n", "") })
	t.Run("unbound below a signed parent", func(t *testing.T) {
		reply, err := harness.Ask(knot, "tcp", "lan.example.", dns.TypeDNSKEY)
		harness.Must(t, err)
		anchor := ""
		for _, rr := range reply.Answer {
			if key := rr.(*dns.DNSKEY); key.Flags&dns.SEP != 0 {
				anchor = harness.Blanks.ReplaceAllString(key.ToDS(dns.SHA256).String(), " ")
			}
		}
		// Nobody signs our zones: the parent proves that they need not be.
		addr := askUnbound(t, "    trust-anchor: '"+anchor+"'\n", "stub-zone:\n    name: \"lan.example\"\n    stub-addr: "+parent+"\n")
		for name, secure := range map[string]bool{"ns.lan.example.": true, "web." + namespace + "." + zones[0]: false} {
			question := new(dns.Msg).SetQuestion(name, dns.TypeA)
			question.AuthenticatedData = true
			reply, err := dns.Exchange(question, addr)
			if err != nil || len(reply.Answer) == 0 || reply.AuthenticatedData != secure {
				t.Errorf("%s A: got %v, %v, want it with AD %t", name, reply, err, secure)
			}
		}
	})
	t.Run("BIND from the root", func(t *testing.T) {
		addr := harness.FreePorts(t, 1)[0]
		d := harness.StartBIND(t, addr, zones[0], "qname-minimization strict; dnssec-validation no;", `zone "." { type hint; file "`+hints+`"; };`)
		askBoth(t, "BIND", addr)
		for _, trouble := range []string{"lame", "format error", "unexpected RCODE"} {
			if lines := d.Log.Lines(trouble); len(lines) > 0 {
				t.Errorf("BIND said %q", lines)
			}
		}
	})
}

// testReferral checks that the parent refers a resolver to those servers and addresses that the
// zone itself has (D26): what differs is a lame delegation, or becomes one.
func testReferral(t *testing.T, parent, child, name, zone string) {
	referral, err := harness.Ask(parent, "udp", name, dns.TypeA)
	harness.Must(t, err)
	if referral.Authoritative || len(referral.Answer) > 0 || referral.Rcode != dns.RcodeSuccess {
		t.Fatalf("%s A: got\n%s\nwant a referral", name, referral)
	}
	own, err := harness.Ask(child, "udp", zone, dns.TypeNS)
	harness.Must(t, err)
	if !own.Authoritative || len(own.Ns) > 0 {
		t.Errorf("%s NS: got\n%s\nwant an answer with AA", zone, own)
	}
	if got, want := rdata(own.Answer), rdata(referral.Ns); len(got) == 0 || !slices.Equal(got, want) {
		t.Errorf("the zone says %q, its parent %q", got, want)
	}
	if dns.IsSubDomain(zone, own.Answer[0].(*dns.NS).Ns) {
		if got, want := rdata(own.Extra), rdata(referral.Extra); len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("the zone says %q, its parent %q", got, want)
		}
	}
	soa, err := harness.Ask(child, "udp", zone, dns.TypeSOA)
	harness.Must(t, err)
	if !soa.Authoritative || len(soa.Answer) != 1 || soa.Answer[0].Header().Rrtype != dns.TypeSOA {
		t.Errorf("%s SOA: got\n%s", zone, soa)
	} else if mname := soa.Answer[0].(*dns.SOA).Ns; mname != own.Answer[0].(*dns.NS).Ns {
		t.Errorf("%s SOA: got the server %s, want %s", zone, mname, own.Answer[0].(*dns.NS).Ns)
	}
}

// rdata is what the records say, sorted, but for their TTLs.
func rdata(rrs []dns.RR) []string {
	var lines []string
	for _, rr := range rrs {
		lines = append(lines, rr.Header().Name+strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(lines)
	return lines
}

// startKnot runs knotd at addr with these zones, and signs those below the root.
func startKnot(t *testing.T, addr string, zones map[string]string) {
	t.Helper()
	path := harness.Program(t, "knotd", "knot")
	var config, domain string
	for name, text := range zones {
		domain = name
		config += fmt.Sprintf("  - domain: %q\n    file: %q\n", name, harness.ConfigFile(t, "zone", text))
		if name != "." {
			config += "    dnssec-signing: on\n    zonefile-sync: -1\n"
		}
	}
	file := harness.ConfigFile(t, "knot.conf", `
server:
  rundir: "DIR"
  listen: `+strings.Replace(addr, ":", "@", 1)+`
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stdout
    any: info
database:
  storage: "DIR"
zone:
`+config)
	harness.StartDaemon(t, harness.AnswersFor(addr, domain), path, "-c", file)
}

// dnsAddrs returns addresses of loopback whose port 53 is free: a delegation names no port.
func dnsAddrs(t *testing.T, n int) []string {
	t.Helper()
	var err error
	for range 10 {
		prefix := fmt.Sprintf("127.53.%d.", rand.IntN(256))
		var addrs []string
		for i := range n {
			addr := fmt.Sprintf("%s%d", prefix, i+1)
			if err = bindable(net.JoinHostPort(addr, "53")); err != nil {
				break
			}
			addrs = append(addrs, addr)
		}
		if err == nil {
			return addrs
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	t.Skipf("a delegation leads to port 53: %v", err)
	return nil
}

// bindable reports why a server cannot have this address.
func bindable(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return p.Close()
}
