package controller

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// fight makes a Service be written by us and overwritten by a rival in turns.
type fight struct {
	*conflicts
	uid     types.UID
	version int
}

func newFight() *fight {
	return &fight{conflicts: &conflicts{byName: map[cache.ObjectName]*conflict{}}, uid: "1"}
}

func (f *fight) service() *service {
	return &service{name: cache.ObjectName{Namespace: "shop", Name: "web"}, uid: f.uid, version: strconv.Itoa(f.version)}
}

func (f *fight) write() {
	f.version++
	f.wrote(f.service(), strconv.Itoa(f.version))
}

func (f *fight) overwrite() (time.Duration, bool) { f.version++; return f.overwritten(f.service()) }

// S12
func TestConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFight()
		if pause, _ := f.overwrite(); pause != 0 {
			t.Error("a status that we have not written is contested")
		}
		for n := range 5 {
			f.write()
			time.Sleep(time.Minute)
			if pause, _ := f.overwrite(); pause != 0 {
				t.Fatalf("paused after %d overwrites", n+1)
			}
			if pause, _ := f.overwritten(f.service()); pause != 0 {
				t.Fatal("an overwrite counts twice")
			}
		}
		f.write()
		pause, began := f.overwrite()
		if pause != 10*time.Minute || !began {
			t.Fatalf("the sixth overwrite: got a pause of %v, begun %v, want 10 minutes that begin", pause, began)
		}
		time.Sleep(4 * time.Minute)
		if pause, began := f.overwrite(); pause != 6*time.Minute || began {
			t.Errorf("during the pause: got %v, begun %v, want the other 6 minutes", pause, began)
		}
		time.Sleep(6 * time.Minute)
		if pause, _ := f.overwritten(f.service()); pause != 0 {
			t.Errorf("after the pause: got another one of %v", pause)
		}
	})
}

// S12: five overwrites that are older than the window do not count.
func TestConflictsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFight()
		for range 50 {
			f.write()
			time.Sleep(2*time.Minute + time.Second)
			if pause, _ := f.overwrite(); pause != 0 {
				t.Fatal("paused though there were no more than five in ten minutes")
			}
		}
	})
}

// S12: what the watch has not yet delivered is no overwrite, nor is what cannot be compared.
func TestConflictsStale(t *testing.T) {
	f := newFight()
	stale := f.service()
	for range 20 {
		f.write()
		if pause, _ := f.overwritten(stale); pause != 0 {
			t.Fatal("a stale cache is taken for an overwrite")
		}
	}
	opaque := f.service()
	opaque.version = "abc"
	if pause, _ := f.overwritten(opaque); pause != 0 {
		t.Error("an opaque resourceVersion is taken for an overwrite")
	}
}

// S12: another Service under the same name has a history of its own.
func TestConflictsForget(t *testing.T) {
	f := newFight()
	rounds := func(n int) (pause time.Duration) {
		for range n {
			f.write()
			pause, _ = f.overwrite()
		}
		return pause
	}
	rounds(5)
	f.uid = "2"
	if pause := rounds(5); pause != 0 {
		t.Error("overwrites of a deleted Service count for the next one")
	}
	if pause := rounds(1); pause != 10*time.Minute {
		t.Errorf("the sixth overwrite of the next one: got a pause of %v", pause)
	}
	f.uid = "3"
	if pause, _ := f.overwrite(); pause != 0 {
		t.Errorf("a Service that is new pauses for %v for the one before", pause)
	}
	f.forget(cache.ObjectName{Namespace: "shop", Name: "web"})
	if pause := rounds(5); pause != 0 {
		t.Error("overwrites that were forgotten count")
	}
	if len(f.byName) != 1 {
		t.Errorf("%d Services are remembered, want 1", len(f.byName))
	}
}
