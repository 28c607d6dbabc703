// Package deadline moves the deadline of a connection rarely: setting one costs as much as a small system call, and a
// busy connection would set one for each read and write.
package deadline

import "time"

// Slack is the maximum delay of a timeout, less for short timeouts.
const Slack = time.Second

// Deadline is when the last deadline set expires; the zero Deadline was never set.
type Deadline struct {
	untilMS int64 // by the monotonic clock; 0: not set, or unknown
}

// Renew returns when to reset the deadline for a timeout that starts now; due is false while the current deadline still
// serves.
func (d *Deadline) Renew(nowMS int64, timeout time.Duration) (at time.Time, due bool) {
	return d.RenewWithin(nowMS, timeout, min(Slack, timeout/4))
}

// RenewWithin is Renew with the caller's slack.
func (d *Deadline) RenewWithin(nowMS int64, timeout, slack time.Duration) (at time.Time, due bool) {
	least := nowMS + timeout.Milliseconds()
	most := least + slack.Milliseconds()
	if d.untilMS != 0 && d.untilMS >= least && d.untilMS <= most {
		return time.Time{}, false
	}
	d.untilMS = most
	return time.Now().Add(timeout + slack), true
}

// Forget means that the deadline was set by other means: the next Renew is due.
func (d *Deadline) Forget() { d.untilMS = 0 }
