package informer

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// confirmation is how long a kind must be missing to count as gone, and the pause after a failed attempt.
	confirmation = 2 * time.Second
	// triggerPause is the pause between Trigger and the request.
	triggerPause = time.Second
)

// Discovery makes each Store that follows it read the version that the API server serves. Its Status reports whether that is known.
type Discovery struct {
	*Status
	// OnDiscovered is called after the first answer, and OnVersion when a kind changes its version later, "" for none. Both
	// are set before Run.
	OnVersion    func(of *Status, before, after string)
	OnDiscovered func()

	discover  func(context.Context) (Served, error)
	interval  time.Duration
	triggered chan struct{} // holds a token after Trigger
	followers []*follower
}

// NewDiscovery returns one that asks once an interval, plus a jitter of up to half of it (G5), and whenever a watch finds its
// kind gone, or has to list anew. name is the resource in permissions.
func NewDiscovery(server *Server, name string, discover func(context.Context) (Served, error), interval time.Duration) *Discovery {
	d := &Discovery{discover: discover, interval: interval, triggered: make(chan struct{}, 1)}
	d.Status = server.Watch(Resource{Name: name, Verbs: "get", Optional: true}, nil)
	d.gone = func() {} // a version of the group may go between two requests
	server.OnExpired = d.Trigger
	return d
}

// Versions calls f with each kind and its version, "" for none.
func (d *Discovery) Versions(f func(of *Status, version string)) {
	for _, follower := range d.followers {
		f(follower.status, follower.chosen.Version)
	}
}

// Trigger requests a look after triggerPause.
func (d *Discovery) Trigger() {
	select {
	case d.triggered <- struct{}{}:
	default:
	}
}

// Seed records that the followers were restored as far as they were served, unless the API server has answered by now.
func (d *Discovery) Seed() {
	d.restored()
	d.notify()
}

// Load chooses the versions as if the API server served this. Nothing is watched.
func (d *Discovery) Load(served Served) {
	for _, f := range d.followers {
		if f.chosen = f.choose(served); !f.chosen.Empty() {
			f.status.begin()
		}
	}
	d.Set(Listed)
}

// Run follows what the API server serves until the context is cancelled, and returns when all watches have ended. A failed
// request changes nothing (G5).
func (d *Discovery) Run(ctx context.Context) {
	defer func() {
		for _, f := range d.followers {
			f.stop()
		}
	}()
	for {
		served, err := d.discover(ctx)
		d.Observe(ctx, err)
		pause := d.interval + rand.N(d.interval/2+1)
		switch {
		case err != nil && d.State() != Forbidden:
			pause = min(pause, confirmation)
		case err != nil:
			for _, f := range d.followers {
				f.drop()
			}
		default:
			// A kind that is missing for the first time stays: an API server that has just started may not know it yet.
			doubtful := false
			for _, f := range d.followers {
				if f.loses(served) {
					f.missed++
				} else {
					f.missed = 0
				}
				doubtful = doubtful || f.missed == 1
			}
			if !doubtful || d.State() == Listed {
				d.follow(ctx, served)
			}
			if doubtful {
				pause = min(pause, confirmation)
			}
		}
		if !d.sleep(ctx, pause) {
			return
		}
	}
}

func (d *Discovery) follow(ctx context.Context, served Served) {
	first := d.State() != Listed
	for _, f := range d.followers {
		if f.missed == 1 {
			continue
		}
		before := f.chosen.Version
		if !first && before == "" {
			f.status.Waive() // G7
		}
		if f.follow(ctx, served) && !first {
			d.OnVersion(f.status, before, f.chosen.Version)
		}
	}
	if first {
		d.OnDiscovered()
		d.Set(Listed)
	}
}

// sleep waits for the next request, and reports whether the context still lasts.
func (d *Discovery) sleep(ctx context.Context, pause time.Duration) bool {
	triggered := d.triggered
	if pause <= confirmation {
		triggered = nil // it is soon anyway
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
			return true
		case <-triggered:
			pause, triggered = triggerPause, nil
		}
	}
}
