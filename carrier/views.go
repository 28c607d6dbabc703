package carrier

import "starling/cluster"

// Views is the status with what each peer has told about how it sees the cluster, by node id. A call asks the peers
// again; the answers are in the next one.
type Views struct {
	Status
	Views map[string]cluster.View `json:"views"`
}

// Views describes the cluster for a page that shows all of it.
func (c *Carrier) Views() Views {
	return Views{Status: c.Status(), Views: c.node.Views(c.clock.Now())}
}
