package carrier

import (
	"maps"
	"slices"
)

// reconnection is why this node ended a connection itself, to open it anew. It is no fault of the peer.
type reconnection string

func (r reconnection) Error() string { return string(r) }

// Reconnect ends all connections, so that they are reopened under the current rules: who may connect has changed. Their
// replication resumes. anew means that peers may be identified differently too: by certificates instead of addresses.
func (c *Carrier) Reconnect(why string, anew bool) {
	c.unsettle()
	if anew {
		c.node.ForgetIdentities()
	}
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, cn := range open {
		cn.fail(reconnection(why))
	}
}
