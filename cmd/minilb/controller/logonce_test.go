package controller

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

func TestLogOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &logOnce{log: slog.New(slog.NewTextHandler(&out, nil)), byTopic: map[string]loggedFailure{}}
		lines := func() (got []string) {
			for line := range strings.Lines(out.String()) {
				_, level, _ := strings.Cut(strings.TrimSpace(line), " level=")
				got = append(got, level)
			}
			out.Reset()
			return got
		}
		away := &kube.Error{Kind: kube.Unreachable, Text: "away", Cause: errors.New("x")}
		awayToo := &kube.Error{Kind: kube.Unreachable, Text: "away by another port", Cause: errors.New("x")}
		forbidden := &kube.Error{Kind: kube.Forbidden, Text: "forbidden", Cause: errors.New("x")}

		if c.clear("a") {
			t.Error("there is something to complain of at first")
		}
		c.report("a", away, "n", 1)
		c.report("a", awayToo)
		c.report("a", away)
		if got := lines(); len(got) != 1 || got[0] != `WARN msg="away; retrying" n=1` {
			t.Errorf("an outage: got %q", got)
		}
		c.report("b", away)
		if got := lines(); len(got) != 1 {
			t.Errorf("another topic: got %q", got)
		}
		c.report("a", forbidden)
		c.report("a", forbidden)
		if got := lines(); len(got) != 1 || got[0] != "ERROR msg=forbidden" {
			t.Errorf("another kind: got %q", got)
		}
		c.report("c", &kube.Error{Kind: kube.Unauthorized, Text: "who", Cause: errors.New("x")})
		if got := lines(); len(got) != 1 || got[0] != "ERROR msg=who" {
			t.Errorf("what does not go away: got %q", got)
		}
		time.Sleep(reminder)
		c.report("a", forbidden)
		if got := lines(); len(got) != 1 {
			t.Errorf("reminder: got %q", got)
		}
		if !c.clear("a") || c.clear("a") {
			t.Error("a complaint settles once")
		}
		c.report("a", forbidden)
		if got := lines(); len(got) != 1 {
			t.Errorf("the next outage: got %q", got)
		}
	})
}

// A policy or webhook that denies writes is told of once, whatever it says of each Service and each time.
func TestReportDenied(t *testing.T) {
	var out bytes.Buffer
	c := &Controller{failures: &logOnce{log: slog.New(slog.NewTextHandler(&out, nil)), byTopic: map[string]loggedFailure{}}}
	for i := range 1000 {
		for _, name := range []string{"web", "db"} {
			for _, who := range []string{`admission webhook "x.org" denied the request`, `admission webhook "y.org" denied the request`, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request"} {
				c.reportWrite(cache.NewObjectName("shop", name), apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, name, fmt.Errorf("%s: request %d for %s", who, i, name)))
			}
		}
	}
	if n := strings.Count(out.String(), "level=WARN"); n != 3 || len(c.failures.byTopic) != 3 {
		t.Errorf("%d lines and %d topics, want 3:\n%.2000s", n, len(c.failures.byTopic), &out)
	}
}
