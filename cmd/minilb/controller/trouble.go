package controller

import (
	"context"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
)

// about is an object, and a reason for which something is wrong with it.
type about struct {
	kind, namespace, name string
	uid                   types.UID
	reason                string
}

func (f *finding) about() about { return about{f.kind, f.namespace, f.name, f.uid, f.reason} }

// trouble is what is wrong with an object for one reason, be it one thing or several that come and go. That
// nothing is any more is told (S17): Events stay for an hour, and nobody may delete them.
type trouble struct {
	end      finding // says so; what comes back later is of another round, as its Event is to be a later one
	findings int     // that there are
	shown    bool    // there is an Event of one
	ending   bool    // the end waits to be told
	told     time.Time
}

// begin takes note of a finding. It is called with the lock held, as are those below.
func (r *recorder) begin(f *finding) {
	t := r.troubles[f.about()]
	if t == nil {
		t = &trouble{end: finding{
			kind: f.kind, namespace: f.namespace, name: f.name, uid: f.uid, normal: true,
			reason: reasonResolved, aspect: f.reason, note: f.reason + ": no longer so",
		}}
		r.troubles[f.about()] = t
	}
	t.findings++
	if t.ending {
		r.forget(t.end.key())
	}
}

// end lets the end of a trouble be told that has no findings left, if it lasts: what is wrong now and then is told
// to be right no more often than Events are forgotten.
func (r *recorder) end(of about) {
	t := r.troubles[of]
	if t == nil || t.findings > 0 || t.ending || !t.shown {
		return
	}
	due := r.now().Add(r.becoming)
	if next := t.told.Add(renewal); next.After(due) {
		due = next
	}
	t.ending = r.add(t.end.key(), &telling{finding: t.end, due: due, ends: t})
}

// shown takes note that there is an Event.
func (r *recorder) shown(key string, t *telling) {
	switch {
	case t.lasts():
		if of := r.troubles[t.about()]; of != nil {
			of.shown = true
			r.end(t.about()) // it was put right meanwhile
		}
	case t.ends != nil:
		r.forget(key) // if nothing is wrong again
		t.ends.shown, t.ends.told = false, r.now()
		t.ends.end.round++
	}
}

// stands reports whether an Event of an end is to be written: not of an object that is gone, as nobody has put it
// right, nor before that can be told.
func (r *recorder) stands(ctx context.Context, key string, event *eventsv1.Event) bool {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	there, err := r.there(ctx, &event.Regarding)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.told[key]
	switch {
	case t == nil: // something is wrong again
	case err != nil:
		t.due = r.now().Add(eventRetry)
	case !there:
		t.ends.shown = false
		r.forget(key)
	default:
		return true
	}
	return false
}
