package carrier

import (
	"errors"
	"maps"
	"slices"
)

// Reconnect ends all connections, so that they are made anew under the rules of now: who may connect has changed. What they
// carried resumes where it was.
func (c *Carrier) Reconnect(why string) {
	c.met.Store(false)
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, cn := range open {
		cn.fail(errors.New(why))
	}
}
