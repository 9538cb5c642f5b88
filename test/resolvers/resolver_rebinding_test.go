package resolvers_test

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// privateZone has the addresses of pods, and those of a public resolver: dnsmasq counts the ones for
// documentation among the private.
const privateZone = `
$TTL 1
@        SOA ns hostmaster 1 2 3 4 5
@        NS  ns
ns       A   192.0.2.53
private  A    10.244.9.1
private  AAAA fd00:10:244:9::1
public   A    9.9.9.9
public   AAAA 2620:fe::fe
`

// TestRebindingProtection asks resolvers that protect their clients from private addresses, and
// that validate: the recipe's switch lets those of its domain through, without it they are
// stripped, and those of another domain are with it, too. Without the exception from validation
// nothing of the domain is answered.
func TestRebindingProtection(t *testing.T) {
	t.Parallel()
	zone := harness.ConfigFile(t, "zone", privateZone)
	server := harness.StartCoreDNS(t, `minilb:PORT other.example:PORT {
		bind 127.0.0.1
		file `+zone+`
	}`).Addr

	for _, r := range []struct {
		name     string
		line     *regexp.Regexp // the switch, if it protects
		validate *regexp.Regexp // the exception from validation, if it validates
		other    string         // leaves other.example to the server as well
		start    func(t *testing.T, blocks []string, other string) string
	}{
		{
			name: "dnsmasq", line: regexp.MustCompile(`(?m)^rebind-domain-ok=.*\n`),
			other: "server=/other.example/192.168.1.30#30053\n",
			start: func(t *testing.T, blocks []string, other string) string {
				return startDnsmasq(t, harness.AnswersFor, "other.example.", "stop-dns-rebind\n"+blocks[0]+other)
			},
		}, {
			name: "Unbound", line: regexp.MustCompile(`(?m)^ *private-domain: .*\n`), validate: regexp.MustCompile(`(?m)^ *domain-insecure: "minilb"\n`),
			other: "server:\n domain-insecure: other.example\nforward-zone:\n name: other.example\n forward-addr: 192.168.1.30@30053\n",
			start: func(t *testing.T, blocks []string, other string) string {
				return startUnbound(t, "other.example.", unboundProtections, blocks[0]+other).addr
			},
		}, {
			name: "BIND", line: regexp.MustCompile(` except-from \{[^}]*\}`), validate: regexp.MustCompile(`"minilb"; (.*"other)`),
			other: `zone "other.example" { type forward; forward only; forwarders { 192.168.1.30 port 30053; }; };`,
			start: func(t *testing.T, blocks []string, other string) string {
				addr := harness.FreePorts(t, 1)[0]
				harness.StartBIND(t, addr, "other.example.", blocks[0]+blocks[2], blocks[1]+other)
				return addr
			},
		}, {
			name: "PowerDNS Recursor", validate: regexp.MustCompile(`(?m)^addNTA\("minilb"\)\n`),
			other: "forward-zones-recurse=other.example=192.168.1.30:30053\n",
			start: func(t *testing.T, blocks []string, other string) string {
				return startPowerDNS(t, "other.example.", blocks[0]+other, blocks[1]+"addNTA('other.example')\n")
			},
		}, {
			name: "Knot Resolver", line: regexp.MustCompile(`(?m)^.*'ALLOW_LOCAL'.*\n`),
			other: "policy.add(policy.suffix(policy.STUB('192.168.1.30@30053'), policy.todnames({'other.example'})))\n",
			start: func(t *testing.T, blocks []string, other string) string {
				return startKresd(t, "other.example.", blocks[0]+other)
			},
		},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			with := harness.ResolverRecipe(t, r.name, server, []string{"minilb."})
			if r.name == "BIND" {
				with[0] = strings.Replace(with[0], `"minilb"; }`, `"minilb"; "other.example"; }`, 1)
			}
			less := func(line *regexp.Regexp, left string) []string {
				blocks, found := slices.Clone(with), 0
				for i := range blocks {
					found += len(line.FindAllString(blocks[i], -1))
					blocks[i] = line.ReplaceAllString(blocks[i], left)
				}
				if found != 1 {
					t.Fatalf("the recipe has %s %d times, want it once:\n%s", line, found, strings.Join(with, "\n"))
				}
				return blocks
			}
			other := harness.AtServer(r.other, server)
			through := func(what string, blocks []string, private bool) {
				addr := r.start(t, blocks, other)
				for name, want := range map[string]bool{"private.minilb.": private, "private.other.example.": r.line == nil, "public.minilb.": true, "public.other.example.": true} {
					answers, err := families(addr, name)
					if wanted := map[bool]int{false: 0, true: 2}[want]; err != nil || answers != wanted {
						t.Errorf("%s: %s has addresses of %d families, %v, want %d", what, name, answers, err, wanted)
					}
				}
			}
			through("with the switch", with, true)
			if r.line != nil {
				through("without the switch", less(r.line, ""), false)
			}
			if r.validate == nil {
				return
			}
			addr := r.start(t, less(r.validate, "$1"), other)
			client := dns.Client{Timeout: 2 * time.Second}
			reply, _, err := client.Exchange(new(dns.Msg).SetQuestion("public.minilb.", dns.TypeA), addr)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				return // it goes on to look for the root, which is out of reach here
			}
			if err != nil || reply.Rcode != dns.RcodeServerFailure {
				t.Errorf("without an exception from validation: got %v, %v, want SERVFAIL", reply, err)
			}
		})
	}
}

// families returns of how many families a name has an address.
func families(addr, name string) (int, error) {
	client := &asker{addr: addr, network: "udp"}
	defer client.close()
	n := 0
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := client.ask(dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}, 1232)
		if err != nil {
			return n, err
		}
		if len(reply.Answer) > 0 {
			n++
		}
	}
	return n, nil
}

// What is written for OpenWrt and Pi-hole makes the lines of dnsmasq's recipe, which is run.
func TestRecipesForDnsmasq(t *testing.T) {
	want := harness.Recipe(t, "resolvers.md", "dnsmasq")[0]
	if got := harness.Recipe(t, "resolvers.md", "Pi-hole")[0]; got != want {
		t.Errorf("Pi-hole: got\n%s\nwant\n%s", got, want)
	}
	// https://git.openwrt.org: package/network/services/dnsmasq/files/dnsmasq.init
	options := map[string]string{"server": "server", "rebind_domain": "rebind-domain-ok"}
	var made strings.Builder
	for line := range strings.Lines(harness.Recipe(t, "resolvers.md", "OpenWrt")[0]) {
		if m := regexp.MustCompile(`^uci add_list dhcp\.@dnsmasq\[0\]\.(\w+)='([^']*)'\n$`).FindStringSubmatch(line); m != nil {
			fmt.Fprintf(&made, "%s=%s\n", options[m[1]], m[2])
		}
	}
	if made.String() != want {
		t.Errorf("OpenWrt: got\n%s\nwant\n%s", made.String(), want)
	}
}
