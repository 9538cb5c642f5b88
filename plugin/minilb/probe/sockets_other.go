//go:build !linux

package probe

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// dialled connects with a goroutine for each connection.
type dialled struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	last int
	errs map[int]error
}

// openFiles returns how many files this process may open, which is not known here.
func openFiles() int { return 4 * maxInFlight }

func newSockets() sockets {
	s := &dialled{errs: map[int]error{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *dialled) connect(to netip.AddrPort) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	socket := s.last
	s.errs[socket] = errPending
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, maxTimeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
		if err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, wanted := s.errs[socket]; wanted {
			s.errs[socket] = err
		}
	})
	return socket, nil
}

func (s *dialled) outcomes(flying []flight) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(flying))
	for i, f := range flying {
		errs[i] = s.errs[f.socket]
	}
	return errs
}

func (s *dialled) close(socket int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.errs, socket)
}

func (s *dialled) stop() {
	s.cancel()
	s.running.Wait()
}
