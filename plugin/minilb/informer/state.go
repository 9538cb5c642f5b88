package informer

import (
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// State is how far the objects of one watch are known.
type State int

const (
	Unknown   State = iota // nothing yet: the first list is under way
	Restored               // from a snapshot
	Listed                 // by the API server, maybe a while ago
	NotServed              // the API server does not serve the kind
	Forbidden              // the API server refuses to show objects that it has never shown
	Failing                // the kind is optional, and could not be read for optionalTimeout, or not listed for listTimeout
)

func (s State) known() bool { return s == Restored || s == Listed }

const (
	// forbiddenGrace is for how long a kind must be forbidden before that counts: an API server has no roles at first.
	forbiddenGrace = 2 * time.Second
	// optionalTimeout is for how long an optional kind that fails is awaited: longer than forbiddenGrace and a retry, and
	// less than the default startup_timeout.
	optionalTimeout = 4 * time.Second
	// notFoundGrace is for how long 404 for a kind that was served goes unreported: a busy API server still announces
	// deleted CRDs.
	notFoundGrace = 15 * time.Second
	// listTimeout is how long the first list of an optional kind may take.
	listTimeout = 30 * time.Second
)

// progress is what is known of a watch. It is not safe for concurrent use.
type progress struct {
	state    State     // never Failing, which depends on the time
	last     State     // when a change was last reported
	begun    time.Time // when the first list was requested, zero before
	since    time.Time // of the first failure in a row, zero while requests succeed
	kind     kube.Kind // of the last failure, "" for none
	alike    time.Time // of the first failure in a row of that kind
	answer   int       // the server's recoveries at the last failure while it answered
	reported *kube.Error
	logged   time.Time // when that was logged last
}

func (p *progress) now(optional bool) State {
	if p.state == Unknown && optional &&
		(!p.begun.IsZero() && time.Since(p.begun) > listTimeout || !p.since.IsZero() && time.Since(p.since) > optionalTimeout) {
		return Failing
	}
	return p.state
}
