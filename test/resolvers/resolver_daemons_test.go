package resolvers_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// powerdnsForward has the recursor validate for all clients, not only for those that ask for it.
func powerdnsForward(t *testing.T, server string, domains []string) string {
	blocks := harness.ResolverRecipe(t, "PowerDNS Recursor", server, domains)
	return startPowerDNS(t, domains[0], blocks[0], blocks[1])
}

// startPowerDNS runs the recursor with these lines of forwarded zones and of Lua.
func startPowerDNS(t *testing.T, domain, forwards, lua string) string {
	t.Helper()
	path := harness.Program(t, "pdns_recursor", "pdns-recursor")
	addr := harness.FreePorts(t, 1)[0]
	const list = "forward-zones-recurse"
	forwards = strings.Replace(strings.ReplaceAll(forwards, list+"=", list+"+="), "+=", "=", 1)
	config := harness.ConfigFile(t, "recursor.conf", `
local-address=127.0.0.1
local-port=`+harness.PortOf(addr)+`
socket-dir=DIR
threads=1
dnssec=validate
hint-file=no
security-poll-suffix=
lua-config-file=`+harness.ConfigFile(t, "recursor.lua", lua)+`
`+forwards)
	harness.StartDaemon(t, harness.AnswersFor(addr, domain), path, "--config-dir="+filepath.Dir(config), "--daemon=no", "--disable-syslog")
	return addr
}

// knotForward has the resolver's rebinding protection on, and validation as it ships.
func knotForward(t *testing.T, server string, domains []string) string {
	return startKresd(t, domains[0], harness.ResolverRecipe(t, "Knot Resolver", server, domains)[0])
}

// startKresd runs Knot Resolver with these lines.
func startKresd(t *testing.T, domain, lines string) string {
	t.Helper()
	path := harness.Program(t, "kresd", "knot-resolver")
	addr := harness.FreePorts(t, 1)[0]
	config := harness.ConfigFile(t, "kresd.conf", `
net.listen('127.0.0.1', `+harness.PortOf(addr)+`)
cache.size = 10 * MB
modules.load('rebinding < iterate')
`+lines)
	harness.StartDaemon(t, harness.AnswersFor(addr, domain), path, "--noninteractive", "--config="+config, filepath.Dir(config))
	return addr
}
