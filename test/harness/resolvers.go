package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// ResolverRecipe returns the blocks for a resolver, each as it stands there once for every domain,
// with the server's address in the place of the nodes', as AtServer puts it.
func ResolverRecipe(t *testing.T, heading, server string, domains []string) []string {
	t.Helper()
	blocks := Recipe(t, "resolvers.md", heading)
	for i, block := range blocks {
		if strings.Contains(block, `{ "minilb"; };`) { // a list that has all of them
			block = strings.ReplaceAll(block, `"minilb";`, strings.TrimSpace(ForEach(domains, `"DOMAIN"; `)))
		} else {
			block = ForEach(domains, strings.ReplaceAll(block, "minilb", "DOMAIN"))
		}
		blocks[i] = AtServer(block, server)
	}
	if all := strings.Join(blocks, ""); all == strings.Join(Recipe(t, "resolvers.md", heading), "") || strings.Contains(all, "30053") {
		t.Fatalf("the recipe for %s does not name the nodes as the others do:\n%s", heading, all)
	}
	return blocks
}

// AtServer puts the server's address in the place of the nodes', in every notation. Two addresses with a comma between
// them are the first node's and the second's.
func AtServer(text, server string) string {
	first, second, both := strings.Cut(server, ",")
	if !both {
		second = first
	}
	for node, addr := range map[string]string{"192.168.1.30": first, "192.168.1.31": second} {
		host, port, _ := net.SplitHostPort(addr)
		for _, separator := range []string{"#", "@", ":", " port "} {
			text = strings.ReplaceAll(text, node+separator+"30053", host+separator+port)
		}
	}
	return text
}

// ForEach is the text once for each domain, which stands in it as DOMAIN.
func ForEach(domains []string, text string) string {
	var all strings.Builder
	for _, domain := range domains {
		all.WriteString(strings.ReplaceAll(text, "DOMAIN", strings.TrimSuffix(domain, ".")))
	}
	return all.String()
}

// ConfigFile writes a configuration in which DIR stands for a directory of its own.
func ConfigFile(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	Must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	return path
}

// AnswersFor returns a check whether the server at addr knows the domain.
func AnswersFor(addr, domain string) func() error {
	return func() error {
		reply, err := Ask(addr, "udp", domain, dns.TypeSOA)
		if err != nil {
			return err
		}
		if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 {
			return fmt.Errorf("%s SOA of %s: got\n%s", domain, addr, reply)
		}
		return nil
	}
}

// StartBIND runs named at addr with these options and zones.
func StartBIND(t *testing.T, addr, domain, options, zones string) *Daemon {
	t.Helper()
	path := Program(t, "named", "bind9")
	host, port, _ := net.SplitHostPort(addr)
	config := ConfigFile(t, "named.conf", `
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
	return StartDaemon(t, AnswersFor(addr, domain), path, "-g", "-n", "1", "-c", config)
}

// ResolvedScript writes a script that runs systemd-resolved at addr with these settings and files of its own, in the mount
// namespace that it is started in. That package is not to be installed: doing so changes how the machine resolves names.
// MINILB_RESOLVED names a directory that Debian's systemd-resolved and libsystemd-shared have been unpacked into.
func ResolvedScript(t *testing.T, addr, settings string) string {
	t.Helper()
	root := os.Getenv("MINILB_RESOLVED")
	if root == "" {
		t.Skip("$MINILB_RESOLVED does not name where systemd-resolved is unpacked: see .ci/run")
	}
	libraries, err := filepath.Glob(root + "/usr/lib/*/systemd")
	Must(t, err)
	config := ConfigFile(t, "resolved.conf", `
[Resolve]
DNS=
FallbackDNS=
Domains=
MulticastDNS=no
LLMNR=no
DNSStubListener=no
DNSStubListenerExtra=`+addr+`
`+settings)
	const user = "systemd-resolve" // which it becomes
	return ConfigFile(t, "start", `set -e
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
}
