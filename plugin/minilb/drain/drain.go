// Package drain waits for goroutines that other plugins delay.
package drain

import (
	"sync"
	"time"
)

// Timeout bounds the wait, so that a dead secondary or upstream does not hold up a stop by more: whatever becomes of the context,
// plugin transfer tries each secondary three times for two seconds, and plugin forward waits for an upstream. What has not
// ended then does so by itself. A server that stops still answers meanwhile.
const Timeout = time.Second

// Wait waits until the goroutines have ended, for Timeout at most.
func Wait(goroutines *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		goroutines.Wait()
	}()
	select {
	case <-done:
	case <-time.After(Timeout):
	}
}
