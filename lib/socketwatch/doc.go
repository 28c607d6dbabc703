// Package socketwatch reports events on sockets: the peer closes one, or there is something to read. One goroutine
// watches all sockets, so a quiet one costs neither a stack nor a timer.
package socketwatch

import "sync"

// Lazy is a Watcher that is created on first use. The zero Lazy is ready.
type Lazy struct {
	once    sync.Once
	watcher *Watcher
}

// Get returns the watcher, nil if there is none: the system does not support it (failed is told the first time), or the
// watcher was closed before its first use.
func (l *Lazy) Get(failed func(error)) *Watcher {
	l.once.Do(func() {
		watcher, err := New()
		if err != nil {
			failed(err)
			return
		}
		l.watcher = watcher
	})
	return l.watcher
}

// Close closes the watcher, for good.
func (l *Lazy) Close() error {
	l.once.Do(func() {})
	if l.watcher == nil {
		return nil
	}
	return l.watcher.Close()
}
