package controller

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

func TestComplaints(t *testing.T) {
	var out bytes.Buffer
	c := newComplaints(slog.New(slog.NewTextHandler(&out, nil)))
	clock := time.Unix(1e9, 0)
	c.now = func() time.Time { return clock }
	lines := func() (got []string) {
		for line := range strings.Lines(out.String()) {
			_, level, _ := strings.Cut(strings.TrimSpace(line), " level=")
			got = append(got, level)
		}
		out.Reset()
		return got
	}
	away := &kube.Failure{Kind: kube.Unreachable, Text: "away", Cause: errors.New("x")}
	awayToo := &kube.Failure{Kind: kube.Unreachable, Text: "away by another port", Cause: errors.New("x")}
	forbidden := &kube.Failure{Kind: kube.Forbidden, Text: "forbidden", Cause: errors.New("x")}

	if c.settle("a") || c.last("a") != "" {
		t.Error("there is something to complain of at first")
	}
	c.tell("a", away, "n", 1)
	c.tell("a", awayToo)
	c.tell("a", away)
	if got := lines(); len(got) != 1 || got[0] != `WARN msg="away; retrying" n=1` {
		t.Errorf("an outage: got %q", got)
	}
	if got := c.last("a"); got != "away" {
		t.Errorf("last: got %q", got)
	}
	c.tell("b", away)
	if got := lines(); len(got) != 1 {
		t.Errorf("another topic: got %q", got)
	}
	c.tell("a", forbidden)
	c.tell("a", forbidden)
	if got := lines(); len(got) != 1 || got[0] != "ERROR msg=forbidden" {
		t.Errorf("another kind: got %q", got)
	}
	c.tell("c", &kube.Failure{Kind: kube.Unauthorized, Text: "who", Cause: errors.New("x")})
	if got := lines(); len(got) != 1 || got[0] != "ERROR msg=who" {
		t.Errorf("what does not go away: got %q", got)
	}
	clock = clock.Add(reminder)
	c.tell("a", forbidden)
	if got := lines(); len(got) != 1 {
		t.Errorf("reminder: got %q", got)
	}
	if !c.settle("a") || c.settle("a") {
		t.Error("a complaint settles once")
	}
	c.tell("a", forbidden)
	if got := lines(); len(got) != 1 {
		t.Errorf("the next outage: got %q", got)
	}

	// What nothing settles is not kept for ever, and all else is.
	for _, topic := range []string{"d", "d", "e"} {
		c.tell(topic, &kube.Failure{Kind: kube.Refused, Text: "refused", Denied: topic, Cause: errors.New("x")})
	}
	clock = clock.Add(reminder)
	c.tell("f", away)
	if got := lines(); len(got) != 3 || len(c.byTopic) != 4 || c.last("a") == "" || c.last("d") != "" {
		t.Errorf("denials: got %q, and keeps %v", got, c.byTopic)
	}
}
