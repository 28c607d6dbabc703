package cache

// list keeps values in the order of their last use. Each has its links in itself, so moving one allocates nothing.
type list[T any, P linked[T]] struct{ newest, oldest P }

// links are the neighbours of a value in its list.
type links[T any] struct{ newer, older *T }

// linked is a pointer to a value that has links.
type linked[T any] interface {
	*T
	neighbours() *links[T]
}

func (l *links[T]) neighbours() *links[T] { return l }

// push adds a value as the newest.
func (x *list[T, P]) push(one P) {
	*one.neighbours() = links[T]{older: x.newest}
	if x.newest != nil {
		x.newest.neighbours().newer = one
	} else {
		x.oldest = one
	}
	x.newest = one
}

func (x *list[T, P]) unlink(one P) {
	at := one.neighbours()
	if at.newer != nil {
		P(at.newer).neighbours().older = at.older
	} else {
		x.newest = at.older
	}
	if at.older != nil {
		P(at.older).neighbours().newer = at.newer
	} else {
		x.oldest = at.newer
	}
	*at = links[T]{}
}

// use makes a value the newest.
func (x *list[T, P]) use(one P) {
	if x.newest != one {
		x.unlink(one)
		x.push(one)
	}
}
