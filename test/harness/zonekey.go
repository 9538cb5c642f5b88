package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// ZoneKey is a zone's key, as dnssec-keygen writes it.
type ZoneKey struct {
	Zone, Base string
	*dns.DNSKEY
}

// NewZoneKey makes a key that signs a zone, in files of the test.
func NewZoneKey(t *testing.T, zone string) ZoneKey {
	t.Helper()
	dir := t.TempDir()
	name, err := Run(t, Program(t, "dnssec-keygen", "bind9-utils"), "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
	Must(t, err)
	base := filepath.Join(dir, strings.TrimSpace(name))
	text, err := os.ReadFile(base + ".key")
	Must(t, err)
	rr, err := dns.NewRR(string(text))
	Must(t, err)
	return ZoneKey{Zone: zone, Base: base, DNSKEY: rr.(*dns.DNSKEY)}
}
