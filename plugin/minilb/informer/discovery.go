package informer

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// confirmation is how long a kind must be gone to be taken for it, and the pause after an attempt that failed.
	confirmation = 2 * time.Second
	// triggerPause is the pause between two looks that watches ask for.
	triggerPause = time.Second
)

// Discovery lets each Versioned read what the API server serves at the time. Its Status says whether that is known.
type Discovery struct {
	*Status
	// OnVersion is called when a kind is read in another version than before, "" for none, but not at the first look.
	// It may be nil, as may be OnDiscovered, which is called after that.
	OnVersion    func(of *Status, before, after string)
	OnDiscovered func()

	discover  func(context.Context) (Served, error)
	interval  time.Duration
	triggered chan struct{} // holds a token when a watch found its kind gone, or had to list anew
	followers []follower
}

// follower is a Versioned of any type.
type follower interface {
	follow(context.Context, Served) bool
	load(Served)
	drop()
	loses(Served) bool
	version() string
	status() *Status
	wait()
}

// NewDiscovery returns one that asks at least once an interval, to which a jitter of half of that is added (G5), and
// whenever a watch finds its kind gone, or has to list anew. name is what is asked for, as in permissions.
func NewDiscovery(server *Server, name string, discover func(context.Context) (Served, error), interval time.Duration) *Discovery {
	d := &Discovery{discover: discover, interval: interval, triggered: make(chan struct{}, 1)}
	d.Status = server.Watch(Resource{Name: name, Verbs: "get", Optional: true}, nil)
	d.gone = func() {} // a version of the group may go between two requests: the next look tells
	server.OnExpired = d.Trigger
	return d
}

// Add lets a Versioned follow what is served. It must be called before Run.
func (d *Discovery) Add(f follower) {
	f.status().gone = d.Trigger
	d.followers = append(d.followers, f)
}

// Versions calls f with each kind and the version that is read, "" for none.
func (d *Discovery) Versions(f func(of *Status, version string)) {
	for _, follower := range d.followers {
		f(follower.status(), follower.version())
	}
}

// Trigger makes the API server be asked soon.
func (d *Discovery) Trigger() {
	select {
	case d.triggered <- struct{}{}:
	default:
	}
}

// Seed notes that the followers were restored as far as they were served, unless the API server has said by now what
// it serves.
func (d *Discovery) Seed() {
	d.restored()
	d.notify()
}

// Load chooses the versions as if the API server had said that it serves this. Nothing is watched.
func (d *Discovery) Load(served Served) {
	for _, f := range d.followers {
		f.load(served)
	}
	d.Set(Listed)
}

// Run follows what the API server serves until the context is cancelled, and returns when nothing of it is left. An
// answer that cannot be had changes nothing (G5).
func (d *Discovery) Run(ctx context.Context) {
	defer func() {
		for _, f := range d.followers {
			f.wait()
		}
	}()
	var before Served // the answer before, if it lacked something that is read
	for {
		served, err := d.discover(ctx)
		d.Observe(ctx, err)
		pause := d.interval + rand.N(d.interval/2+1)
		switch {
		case err != nil && d.State() != Forbidden:
			pause = min(pause, confirmation)
		case err != nil:
			for _, f := range d.followers { // what is served cannot be found out
				f.drop()
			}
		default:
			// What is missed for the first time stays: an API server that has just started may not know yet.
			var doubted []follower
			for _, f := range d.followers {
				if f.loses(served) && (before == nil || !f.loses(before)) {
					doubted = append(doubted, f)
				}
			}
			if len(doubted) == 0 || d.State() == Listed {
				d.follow(ctx, served, doubted)
			}
			before = nil
			if len(doubted) > 0 {
				before = served
				pause = min(pause, confirmation)
			}
		}
		if !d.sleep(ctx, pause) {
			return
		}
	}
}

// follow brings all followers in line with what is served, but for the doubted ones.
func (d *Discovery) follow(ctx context.Context, served Served, doubted []follower) {
	first := d.State() != Listed
	for _, f := range d.followers {
		if slices.Contains(doubted, f) {
			continue
		}
		before := f.version()
		if !first && before == "" {
			f.status().Waive() // G7: what comes now is not waited for
		}
		if f.follow(ctx, served) && !first && d.OnVersion != nil {
			d.OnVersion(f.status(), before, f.version())
		}
	}
	if !first {
		return
	}
	if d.OnDiscovered != nil {
		d.OnDiscovered()
	}
	d.Set(Listed)
}

// sleep waits until it is time to look again, and reports whether the context still lasts.
func (d *Discovery) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	triggered := d.triggered
	if pause <= confirmation {
		triggered = nil // it is soon anyway
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-triggered:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(triggerPause):
		return true
	}
}
