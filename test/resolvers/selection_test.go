package resolvers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// TestAddressSelection has the C library sort IPv6 addresses of pods (RFC 6724, rule 9), on a client with an address of a
// provider's prefix and one of fd00::/8: it prefers a node where the pods' networks are parts of the LAN's prefix, and else
// keeps the order of the answer, as clients.md says.
func TestAddressSelection(t *testing.T) {
	t.Parallel()
	unshare := harness.Program(t, "unshare", "util-linux")
	script := harness.ConfigFile(t, "select", `set -e
ip link set lo up
ip link add lan type veth peer name other
ip link set other up
ip link set lan up
ip address add 2001:db8:12:1::5/64 dev lan nodad
ip address add fd12:3:4:1::5/64 dev lan nodad
ip -6 route add default dev lan
for address; do echo "$address pods.test"; done >DIR/hosts
mount --bind DIR/hosts /etc/hosts
getent ahostsv6 pods.test
`)
	for _, tt := range []struct{ answer, want []string }{
		{[]string{"2001:db8:12:101::a", "2001:db8:12:10::a"}, []string{"2001:db8:12:10::a", "2001:db8:12:101::a"}},
		{[]string{"2001:db8:12:10::a", "2001:db8:12:101::a"}, []string{"2001:db8:12:10::a", "2001:db8:12:101::a"}},
		{[]string{"fd00:10:244:1::a", "fd00:10:244:2::a"}, []string{"fd00:10:244:1::a", "fd00:10:244:2::a"}},
		{[]string{"fd00:10:244:2::a", "fd00:10:244:1::a"}, []string{"fd00:10:244:2::a", "fd00:10:244:1::a"}},
	} {
		out, err := harness.Run(t, unshare, append([]string{"--net", "--mount", "sh", script}, tt.answer...)...)
		if err != nil && strings.Contains(fmt.Sprint(err), "Operation not permitted") {
			t.Skipf("no network namespace: %v", err)
		}
		harness.Must(t, err)
		var got []string
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "STREAM" {
				got = append(got, fields[0])
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: sorted %q, want %q", tt.answer, got, tt.want)
		}
	}
}
