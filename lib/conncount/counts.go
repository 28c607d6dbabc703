package conncount

import "sync/atomic"

// Counts are the figures that the API shows for a zone.
type Counts struct{ Passed, Rejected, RejectedDryRun atomic.Uint64 }

// Figures is a zone as the API shows it.
type Figures struct {
	Passed         uint64 `json:"passed"`
	Rejected       uint64 `json:"rejected"`
	RejectedDryRun uint64 `json:"rejected_dry_run"`
}

// Figures reads the counts.
func (c *Counts) Figures() Figures {
	return Figures{c.Passed.Load(), c.Rejected.Load(), c.RejectedDryRun.Load()}
}

// Reset sets the counts to zero.
func (c *Counts) Reset() {
	c.Passed.Store(0)
	c.Rejected.Store(0)
	c.RejectedDryRun.Store(0)
}
