package security_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/test/harness"
)

// patience bounds the waits for what has to happen and is not to be fast.
const patience = 20 * time.Second

// rejected returns the refusals that the metric counts.
func rejected(s *harness.CoreDNS) map[string]int {
	_, metrics := harness.Get(s.Prom)
	counts := map[string]int{}
	for line := range strings.Lines(harness.Grep(metrics, "coredns_minilb_claims_rejected")) {
		var reason string
		var n float64
		rest := strings.TrimPrefix(line, `coredns_minilb_claims_rejected{reason="`)
		reason, rest, _ = strings.Cut(rest, `"} `)
		fmt.Sscan(rest, &n)
		if n > 0 {
			counts[reason] = int(n)
		}
	}
	return counts
}

// forbidden reports an error unless RBAC refused the request.
func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("%s: got %v, want it forbidden", what, err)
	}
}
