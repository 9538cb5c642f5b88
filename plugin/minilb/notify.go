package minilb

import (
	"context"
	"strings"
	"sync"
	"time"
)

// notifyInterval is how long after a NOTIFY the next one may follow: what changes meanwhile is in
// that one, as secondaries fetch the zone as a whole.
const notifyInterval = time.Second

// notifier tells the secondaries that are named in plugin transfer of changes (RFC 1996).
type notifier struct {
	transfer interface{ Notify(zone string) error }
	index    notifiable
	done     chan struct{} // closed when run has ended

	mu      sync.Mutex
	failing map[string]string // by zone: why secondaries did not take the last notification
}

// notifiable is what the notifier wants of the index.
type notifiable interface {
	Zones() []string
	Serial(zone string) uint32
	Synced() bool
	Changes() <-chan struct{}
}

// run notifies at each change of a zone, at once and then at most once in the interval, until the
// context is cancelled. Notifications that are under way by then end by themselves: plugin transfer
// gives each secondary three tries of a few seconds, one after the other, so that run cannot wait
// for those that are dead without being late for those that are not.
func (n *notifier) run(ctx context.Context) {
	defer close(n.done)
	known := map[string]uint32{}
	for {
		select { // the first time, too: the server does not listen yet
		case <-ctx.Done():
			return
		case <-time.After(notifyInterval):
		}
		select {
		case <-ctx.Done():
			return
		case <-n.index.Changes():
		}
		if !n.index.Synced() {
			continue // there is nothing to transfer yet, and once there is, that is a change
		}
		for _, zone := range n.index.Zones() {
			if serial := n.index.Serial(zone); serial != known[zone] {
				known[zone] = serial
				go n.notify(zone)
			}
		}
	}
}

// notify tells the zone's secondaries, and logs when they begin or cease to listen.
func (n *notifier) notify(zone string) {
	failure := ""
	if err := n.transfer.Notify(zone); err != nil {
		failure = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch before := n.failing[zone]; {
	case failure == before:
	case failure != "":
		log.Warningf("Cannot tell all secondaries of changes in zone %s, they will learn of them when they refresh: %s", zone, failure)
	default:
		log.Infof("All secondaries of zone %s are told of changes again", zone)
	}
	n.failing[zone] = failure
}
