package resolvers_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// askSigned asks for signatures, over TCP, and does not check them.
func askSigned(addr, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name, qtype).SetEdns0(4096, true)
	client := dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	reply, _, err := client.Exchange(m, addr)
	if err != nil {
		return nil, fmt.Errorf("%s was asked %s %s: %w", addr, name, dns.TypeToString[qtype], err)
	}
	return reply, nil
}

// extendedErrors returns the codes of the message's extended errors (RFC 8914).
func extendedErrors(m *dns.Msg) []uint16 {
	var codes []uint16
	if opt := m.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if ede, ok := option.(*dns.EDNS0_EDE); ok {
				codes = append(codes, ede.InfoCode)
			}
		}
	}
	return codes
}

// validated is what delv says of an answer.
type validated struct {
	trust  string // of its first RRset
	data   []string
	output string
}

// delv lets BIND's validator ask the server, with the key as its only trust anchor.
func delv(t *testing.T, addr string, key harness.ZoneKey, name, qtype, option string) (validated, error) {
	t.Helper()
	anchors := key.Base + ".anchors"
	if _, err := os.Stat(anchors); err != nil {
		harness.Must(t, os.WriteFile(anchors, fmt.Appendf(nil, "trust-anchors { %s static-key %d %d %d %q; };\n", dns.Fqdn(key.Zone), key.Flags, key.Protocol, key.Algorithm, key.PublicKey), 0o600))
	}
	host, port, err := net.SplitHostPort(addr)
	harness.Must(t, err)
	out, err := harness.Run(t, harness.Program(t, "delv", "bind9-dnsutils"), "@"+host, "-p", port, "-a", anchors, "+root="+key.Zone, option, "-q", name, "-t", qtype)
	v := validated{output: out}
	if err != nil {
		return v, fmt.Errorf("delv of %s %s: %w", name, qtype, err)
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "; "); ok && v.trust == "" {
			v.trust = text
		}
		if line == "" || strings.HasPrefix(line, ";") {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			return v, fmt.Errorf("delv of %s %s: %w\n%s", name, qtype, err, out)
		}
		if rr.Header().Rrtype != dns.TypeRRSIG {
			v.data = append(v.data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(v.data)
	return v, nil
}

// startValidator runs unbound as a LAN's validating resolver: the key is the zone's trust anchor,
// and the server is asked for the zone and for the hosts of .example, which nobody has signed.
func startValidator(t *testing.T, key harness.ZoneKey, server string) string {
	t.Helper()
	path := harness.Program(t, "unbound", "unbound")
	addr := harness.FreePorts(t, 1)[0]
	conf := filepath.Join(t.TempDir(), "unbound.conf")
	harness.Must(t, os.WriteFile(conf, []byte(strings.NewReplacer("LISTEN", strings.Replace(addr, ":", "@", 1), "SERVER", strings.Replace(server, ":", "@", 1), "DIR", filepath.Dir(conf), "KEY", key.Base+".key").Replace(`
server:
	interface: LISTEN
	username: ""
	chroot: ""
	directory: "DIR"
	pidfile: ""
	use-syslog: no
	val-log-level: 2
	do-not-query-localhost: no
	module-config: "validator iterator"
	trust-anchor-file: "KEY"
	domain-insecure: example
	use-caps-for-id: yes
	ede: yes
	num-threads: 1
stub-zone:
	name: minilb
	stub-addr: SERVER
stub-zone:
	name: example
	stub-addr: SERVER
remote-control:
	control-enable: no
`)), 0o600))
	harness.StartDaemon(t, func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}, path, "-d", "-c", conf)
	return addr
}
