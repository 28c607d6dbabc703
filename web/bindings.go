package web

import (
	"io"
	"sync"
)

// bindings are what handlers keep for the later requests of one client connection.
type bindings struct {
	mu    sync.Mutex
	kept  map[any]io.Closer
	ended bool
}

// Bind keeps something for the later requests of the client's connection; it is closed when that ends. Of several with
// one key, as streams of HTTP/2 can have, the first is kept.
func (c *Conn) Bind(key any, kept io.Closer) {
	b := &c.whole.bindings
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.kept[key] != nil {
		kept.Close() // nobody will use it
		return
	}
	if b.kept == nil {
		b.kept = map[any]io.Closer{}
	}
	b.kept[key] = kept
}

// Unbind takes what Bind has kept; nil if there is nothing.
func (c *Conn) Unbind(key any) io.Closer {
	b := &c.whole.bindings
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.kept[key]
	delete(b.kept, key)
	return kept
}

// end closes all at the end of the connection.
func (b *bindings) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	for _, kept := range b.kept {
		kept.Close() // nobody will use it
	}
	b.kept = nil
}
