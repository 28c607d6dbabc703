package cycle

import "starling/plan"

// Plan lets tests see what a configuration is made of.
func (c *Cycle) Plan() *plan.Plan { return c.plan }
