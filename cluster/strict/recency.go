package strict

// recency is a set of records in the order of their last use.
type recency[T any] struct {
	byKey map[string]*recent[T]
	ends  recent[T] // a ring: next is the oldest, previous the newest
}

type recent[T any] struct {
	key            string
	value          T
	next, previous *recent[T]
}

func (r *recency[T]) init() {
	r.byKey = map[string]*recent[T]{}
	r.ends.next, r.ends.previous = &r.ends, &r.ends
}

func (r *recency[T]) size() int { return len(r.byKey) }

// find returns a record without using it.
func (r *recency[T]) find(key string) (value T, ok bool) {
	if at := r.byKey[key]; at != nil {
		return at.value, true
	}
	return value, false
}

// use returns a record and makes it the newest.
func (r *recency[T]) use(key string) (value T, ok bool) {
	at := r.byKey[key]
	if at == nil {
		return value, false
	}
	at.unlink()
	r.link(at)
	return at.value, true
}

func (r *recency[T]) add(key string, value T) {
	at := &recent[T]{key: key, value: value}
	r.byKey[key] = at
	r.link(at)
}

func (r *recency[T]) remove(key string) {
	if at := r.byKey[key]; at != nil {
		at.unlink()
		delete(r.byKey, key)
	}
}

func (r *recency[T]) oldest() *recent[T] { return r.newer(&r.ends) }

func (r *recency[T]) newer(at *recent[T]) *recent[T] {
	if at.next == &r.ends {
		return nil
	}
	return at.next
}

func (r *recency[T]) newest() *recent[T] { return r.older(&r.ends) }

func (r *recency[T]) older(at *recent[T]) *recent[T] {
	if at.previous == &r.ends {
		return nil
	}
	return at.previous
}

func (r *recency[T]) link(at *recent[T]) {
	at.previous, at.next = r.ends.previous, &r.ends
	at.previous.next, r.ends.previous = at, at
}

func (at *recent[T]) unlink() {
	at.previous.next, at.next.previous = at.next, at.previous
}
