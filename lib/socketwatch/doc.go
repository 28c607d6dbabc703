// Package socketwatch tells when something happens to sockets: when their other sides close them, or when there is
// something to read. One goroutine does so for all sockets together, so one that is quiet costs neither a stack nor a
// timer.
package socketwatch

import "sync"

// Lazy is a Watcher that is made when it is used first. The zero Lazy is ready.
type Lazy struct {
	once    sync.Once
	watcher *Watcher
}

// Get gives the watcher, nil where there is none: the system cannot tell, which failed is told the first time, or the
// watcher was closed before it was used.
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

// Close ends the watcher, for good.
func (l *Lazy) Close() error {
	l.once.Do(func() {})
	if l.watcher == nil {
		return nil
	}
	return l.watcher.Close()
}
