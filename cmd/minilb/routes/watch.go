package routes

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// updates and updateBurst pace Nodes that change all the time: so many updates at once, then so many a second.
const updates, updateBurst = 1, 10

// recheckMin and recheckMax bound the pause before pods are compared with their nodes' networks again: it doubles as long as
// these differ, or no pod proves them.
const recheckMin, recheckMax = 30 * time.Second, 10 * time.Minute

// Hooks are what Watch calls.
type Hooks struct {
	// Update gets lan.FromNodes of all nodes. Its error ends Watch.
	Update func([]Entry) error
	// Warn gets a line that is printed once.
	Warn func(string)
	// Chosen gets the provider of pod networks, and another one that replaces it.
	Chosen func(podnetworks.Choice)
	// Outside gets, after the first update, the nodes that have pods outside of their networks, or why that is not known.
	Outside func(podnetworks.Choice, []PodOutsidePodCIDR, error)
}

// Watch calls hooks.Update with all nodes, with the API server located: first once all are known, then whenever they or their
// pod networks have changed, at most one a second in the long run. While the API server is away, or denies access, what is known
// stays; hooks.Warn is called with one line about that, again each ten minutes, and with another one at its end. Watch returns
// when ctx ends, or with the first error of hooks.Update.
func Watch(ctx context.Context, client kubernetes.Interface, clients *podnetworks.Clients, lan LAN, hooks Hooks) error {
	w := newWatcher(client, clients, lan, hooks)
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { informer.Run(ctx, w.nodes, client.CoreV1().Nodes(), "") })
	running.Go(func() { w.networks.Run(ctx) })

	pace := flowcontrol.NewTokenBucketRateLimiter(updates, updateBurst)
	var last []Entry
	var report func()
	for first, reported := true, false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		case seen := <-w.seen:
			if w.reading = false; w.unsettled() {
				w.due = true
			} else if outside := w.choose(seen); !reported {
				report = outside
			}
		case <-w.recheck:
			w.recheck, w.due = nil, true
		}
		if !w.nodes.Known() || w.unsettled() {
			continue
		}
		if w.needsPods() {
			nodes := w.nodes.List()
			running.Go(func() { w.readPods(ctx, nodes) })
		}
		if w.choosing && !w.chooseByName() {
			continue
		}
		if pace.Wait(ctx) != nil {
			return nil
		}
		entries := w.entries(ctx)
		if first || !reflect.DeepEqual(entries, last) {
			if err := hooks.Update(entries); err != nil {
				return err
			}
		}
		if !reported && report != nil && ctx.Err() == nil {
			report()
			reported = true
		}
		first, last = false, entries
	}
}

// watcher has the nodes, their pod networks and the addresses of the API server. What is not a Store belongs to Watch.
type watcher struct {
	client    kubernetes.Interface
	lan       LAN
	hooks     Hooks
	nodes     *informer.Store[*corev1.Node, *Node]
	networks  *podnetworks.Watcher
	changed   chan struct{} // holds a token when entries may return something else than before
	stale     atomic.Bool   // the API server may have other addresses than before
	unlocated bool          // that they are not known was reported
	warned    map[string]bool

	choice   podnetworks.Choice
	choosing bool     // there is no choice, or it is of other sources than there are
	sources  []string // of the choice
	reading  bool
	seen     chan podsSeen
	due      bool
	recheck  <-chan time.Time
	pause    time.Duration // before the next one that is not proven
}

// podsSeen is where the pods are, or why that is not known.
type podsSeen struct {
	pods []podnetworks.Pod
	err  error
}

func newWatcher(client kubernetes.Interface, clients *podnetworks.Clients, lan LAN, hooks Hooks) *watcher {
	w := &watcher{
		client: client, lan: lan, hooks: hooks, changed: make(chan struct{}, 1), warned: map[string]bool{},
		choosing: true, seen: make(chan podsSeen, 1), pause: recheckMin,
	}
	server := &informer.Server{
		Log: lineLog(hooks.Warn), OnChange: w.touch, OnStatus: w.touch,
		Remind: 10 * time.Minute, Consequence: "the routes stay as they are",
	}
	w.nodes = informer.NewStore(server.Watch(informer.Resource{Kind: "node", Name: "nodes"}, nil), read)
	w.networks = podnetworks.NewWatcher(clients, server, lan.provider())
	w.stale.Store(true)
	w.nodes.OnRequest = func(_ context.Context, err error) bool {
		if err == nil { // each few minutes, as the API server ends its watches
			w.stale.Store(true)
			w.touch()
		}
		return false
	}
	return w
}

func (w *watcher) touch() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// unsettled reports whether a resource has come or gone since the choice, and others are still awaited: the routes stay until then.
func (w *watcher) unsettled() bool {
	return !w.networks.Known() && !slices.Equal(w.networks.Sources(), w.sources)
}

// needsPods reports whether it is to be read where the pods are, which it takes for done: for the first choice, for one among
// other sources, and to confirm one.
func (w *watcher) needsPods() bool {
	if sources := w.networks.Sources(); w.networks.Known() && (w.choosing && w.recheck == nil || !slices.Equal(sources, w.sources)) {
		if !w.reading {
			w.sources, w.choosing, w.due, w.pause = sources, true, true, recheckMin
		}
	}
	if w.reading || !w.due {
		return false
	}
	w.reading, w.due = true, false
	return true
}

func (w *watcher) readPods(ctx context.Context, nodes []*Node) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pods, err := ReadPods(ctx, w.client, nodes)
	w.seen <- podsSeen{pods, err}
}

// chooseByName makes the choice where pods have no say in it: one provider was asked for, and it has one API.
func (w *watcher) chooseByName() bool {
	if w.lan.provider() == podnetworks.Auto || !w.networks.Known() {
		return false
	}
	_, _, choice := w.lan.Assign(w.nodes.List(), w.networks.Found(), nil)
	if choice.Alone {
		w.choice, w.choosing = choice, false
		w.hooks.Chosen(choice)
	}
	return choice.Alone
}

// choose makes a choice by where the pods are, and returns what reports those outside. If that is not known, one that was made
// stays, and none is made among several.
func (w *watcher) choose(seen podsSeen) (report func()) {
	nodes, before := w.nodes.List(), w.choice
	if w.choosing = false; seen.err == nil || before.Provider == "" {
		lan, assigned, choice := w.lan.Assign(nodes, w.networks.Found(), seen.pods)
		if seen.err != nil && lan.provider() == podnetworks.Auto && !choice.Alone {
			w.say(seen.err.Error() + "; the routes stay as they are")
			w.choosing, w.recheck = true, time.After(recheckMin)
			return func() {}
		}
		w.lan, nodes, w.choice = lan, assigned, choice
	}
	if w.choice.Provider != before.Provider || w.choice.Group != before.Group {
		w.hooks.Chosen(w.choice)
	}
	proven := w.choice.Proven && len(w.lan.disproved) == 0 && seen.err == nil
	pause := recheckMax
	if proven {
		w.pause = recheckMin
	} else {
		pause, w.pause = w.pause, min(2*w.pause, recheckMax)
	}
	if w.recheck = nil; w.lan.provider() == podnetworks.Auto && !(proven && w.choice.Alone) {
		w.recheck = time.After(pause)
	}
	lan, choice := w.lan, w.choice
	return func() { w.hooks.Outside(choice, lan.Pods(nodes).Outside(seen.pods), seen.err) }
}

// entries returns those of the nodes as they are known now. It warns once that the API server's addresses are unknown, and of
// each object that is malformed.
func (w *watcher) entries(ctx context.Context) []Entry {
	if w.stale.Swap(false) {
		var err error
		w.lan, err = w.lan.Locate(ctx, w.client)
		if err != nil && !w.unlocated && ctx.Err() == nil {
			w.hooks.Warn(err.Error())
		}
		w.unlocated = err != nil
	}
	nodes := w.nodes.List()
	w.choice = w.choice.Refreshed(ownAssignments(nodes), w.networks.Found())
	for _, malformed := range w.choice.Malformed {
		w.say(malformed.String())
	}
	return w.lan.FromNodes(assigned(nodes, w.choice))
}

// say warns of something once.
func (w *watcher) say(line string) {
	if !w.warned[line] && len(w.warned) < maxProblems {
		w.warned[line] = true
		w.hooks.Warn(line)
	}
}

// lineLog implements the informer.Logger interface.
type lineLog func(string)

func (l lineLog) Infof(format string, args ...any)    { l(fmt.Sprintf(format, args...)) }
func (l lineLog) Warningf(format string, args ...any) { l(fmt.Sprintf(format, args...)) }
