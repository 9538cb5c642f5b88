package informer

import (
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// State is what is known of the objects of one watch.
type State int

const (
	Unknown   State = iota // nothing yet: the first list is under way
	Restored               // what a snapshot has
	Listed                 // what the API server has listed, maybe a while ago
	NotServed              // the API server does not serve the kind
	Forbidden              // the API server refuses to show objects that it has never shown
	Failing                // the kind is optional, and could not be read for optionalTimeout, or not listed for listTimeout
)

// consequences say what follows from each State.
var consequences = [...]struct {
	known       bool // the objects are there to be used
	decided     bool // waiting on would not help
	complete    bool // of an optional kind: a snapshot without its objects lacks nothing
	unavailable bool // there may be objects, which nobody knows
}{
	Unknown:   {unavailable: true},
	Restored:  {known: true, decided: true},
	Listed:    {known: true, decided: true, complete: true},
	NotServed: {decided: true, complete: true},
	Forbidden: {decided: true, complete: true, unavailable: true},
	Failing:   {decided: true, unavailable: true},
}

const (
	// forbiddenGrace is for how long a kind must be forbidden before that is believed: an API server that has
	// just started has no roles yet.
	forbiddenGrace = 2 * time.Second
	// optionalTimeout is for how long an optional kind that fails is waited for: longer than forbiddenGrace and a
	// retry, and less than the default startup_timeout.
	optionalTimeout = 4 * time.Second
	// notFoundGrace is for how long 404 for a kind that was served goes unreported: the CRDs of a release are deleted
	// one after the other, and a busy API server goes on to announce what it no longer has.
	notFoundGrace = 15 * time.Second
	// listTimeout is how long the first list of an optional kind may take.
	listTimeout = 30 * time.Second
)

// progress is what is known of a watch. It is not safe for concurrent use.
type progress struct {
	state    State     // but Failing, which time decides
	last     State     // as it was when a change was last reported
	begun    time.Time // when the first list was asked for, zero before
	since    time.Time // of the first failure in a row, zero while requests succeed
	kind     kube.Kind // of the last failure, "" for none
	alike    time.Time // of the first failure in a row of that kind
	answer   int       // the number of the server's recoveries when the last failure came while it answered
	reported *kube.Error
	logged   time.Time // when that was logged last
}

// now returns the state.
func (p *progress) now(optional bool) State {
	if p.state == Unknown && optional &&
		(!p.begun.IsZero() && time.Since(p.begun) > listTimeout || !p.since.IsZero() && time.Since(p.since) > optionalTimeout) {
		return Failing
	}
	return p.state
}

// fail notes how the last request failed, "" if it did not, and returns for how long they have failed like that.
func (p *progress) fail(kind kube.Kind) time.Duration {
	now := time.Now()
	if kind != p.kind {
		p.kind, p.alike = kind, now
	}
	switch {
	case kind == "":
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = now
	}
	return now.Sub(p.alike)
}

// refuse notes that the API server refuses to show the kind. What it has shown stays, as does what was restored of a
// kind that all depends on.
func (p *progress) refuse(optional bool) {
	if p.state == Unknown || optional && p.state == Restored {
		p.state = Forbidden
	}
}
