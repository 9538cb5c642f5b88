package harness

import (
	"net"
	"regexp"
	"strings"
	"testing"
)

// ResolverFor is the Corefile of a LAN's resolver, with these properties of the plugin.
func ResolverFor(kubeconfig, upstream string, properties ...string) string {
	return `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		PROM
		errors
		minilb minilb {
			kubeconfig ` + kubeconfig + `
			` + strings.Join(properties, "\n") + `
		}
		cache
		forward . ` + upstream + `
	}`
}

var (
	CorefileBlock = regexp.MustCompile("(?ms)^(?:```|~~~) *corefile\n(.*?)^(?:```|~~~)$")
	ServerBlock   = regexp.MustCompile(`(?m)^([^\s#{][^{\n]*)\{$`)
	SecondaryLine = regexp.MustCompile(`(?m)^( *to )192.*$`)
	upstreamLine  = regexp.MustCompile(`(?m)^( *forward \.) [^{\n]*`)
)

// OnLoopback moves what a documented Corefile says of ports, addresses and files to those of a
// test, for StartCoreDNS. It returns where its encrypted transports listen, too.
func OnLoopback(t *testing.T, corefile, upstream, kubeconfig string, cert Certificate) (string, map[string]string) {
	t.Helper()
	encrypted := map[string]string{}
	corefile = ServerBlock.ReplaceAllStringFunc(corefile, func(line string) string {
		var keys []string
		for _, key := range strings.Fields(strings.TrimSuffix(line, "{")) {
			transport, zone, found := strings.Cut(key, "://")
			if !found {
				zone = key
			}
			if host, _, err := net.SplitHostPort(zone); err == nil {
				zone = host
			}
			if !found {
				keys = append(keys, zone+":PORT")
				continue
			}
			if encrypted[transport] == "" {
				encrypted[transport] = FreePorts(t, 1)[0]
			}
			_, port, err := net.SplitHostPort(encrypted[transport])
			Must(t, err)
			keys = append(keys, transport+"://"+zone+":"+port)
		}
		return strings.Join(keys, " ") + " {\nbind 127.0.0.1"
	})
	corefile = SecondaryLine.ReplaceAllString(corefile, "${1}*")
	corefile = upstreamLine.ReplaceAllString(corefile, "$1 "+upstream+" ")
	corefile = regexp.MustCompile(`(?m)^( *)health\b[^{\n]*`).ReplaceAllString(corefile, "${1}HEALTH ")
	corefile = regexp.MustCompile(`(?m)^( *)ready.*$`).ReplaceAllString(corefile, "${1}READY")
	corefile = regexp.MustCompile(`(?m)^( *)prometheus.*$`).ReplaceAllString(corefile, "${1}PROM")
	for path, here := range map[string]string{"/var/lib/minilb": t.TempDir(), "/etc/minilb/kubeconfig": kubeconfig, "/etc/minilb/tls.crt": cert.Chain, "/etc/minilb/tls.key": cert.Key} {
		corefile = strings.ReplaceAll(corefile, path, here)
	}
	if key := "/etc/minilb/Kminilb.+013+12345"; strings.Contains(corefile, key) {
		corefile = strings.ReplaceAll(corefile, key, NewZoneKey(t, "minilb").Base)
	}
	return corefile, encrypted
}
