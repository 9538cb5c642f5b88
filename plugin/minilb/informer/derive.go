package informer

// Derive returns a Store that is fed by the watch of another one, with what its own transform keeps of the same objects, and
// shares its Status: two readers that need different parts of a kind cost the API server one watch. A snapshot's objects are
// not among them. It must be called before anything is read.
func Derive[R Full, T, U Object](s *Store[R, T], transform func(R) U) *Store[R, U] {
	d := NewStore(s.Status, transform)
	s.derived = append(s.derived, d)
	return d
}

// derived is a Store of any type that another one feeds, while that is locked.
type derived[R Full] interface {
	keep(R) any // the item of an object
	Update(item any) error
	Delete(item any) error
	fill(items []any)
}

// derive passes an item on.
func (s *Store[R, T]) derive(i *item[T], change func(derived[R], any) error) error {
	for n, d := range s.derived[:len(i.derived)] {
		if err := change(d, i.derived[n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store[R, T]) keep(full R) any { return s.known(full) }

// fill takes a whole list.
func (s *Store[R, T]) fill(items []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*item[T], len(items))
	for i := range items {
		all[i] = items[i].(*item[T])
	}
	s.replace(all)
}

// empty takes all objects out, with the Store locked but not those that it feeds.
func (s *Store[R, T]) empty() {
	s.clear()
	for _, d := range s.derived {
		d.fill(nil)
	}
}
