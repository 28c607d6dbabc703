package carrier

import (
	"errors"
	"maps"
	"slices"
)

// Reconnect ends all connections, so that they are made anew under the rules of now: who may connect has changed. What
// they carried resumes where it was. anew says that also what tells peers apart may be something else: certificates
// instead of addresses.
func (c *Carrier) Reconnect(why string, anew bool) {
	c.unsettle()
	if anew {
		c.node.ForgetIdentities()
	}
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, cn := range open {
		cn.fail(errors.New(why))
	}
}
