// Package strict keeps the limits of a cluster exactly: all nodes together never admit more than one node with the same
// bucket would, whatever the lag, with crashes, partitions and clocks that drift. The carrier
// runs it (carrier/strict.go) for limit_req_zone … sync strict.
//
// Read piece.go first, then holder.go (a request), owner.go with share.go and central.go (who gets how much), lease.go
// and change.go (who is a member), takeover.go and stream.go (nothing is lost or counted twice). slots.go,
// slotsowner.go and gateslots.go keep limits of connections (limit_conn_zone … sync strict) with the same views. The
// design, the proof and what was measured are in docs/decisions/2026-11-29-strict-limits.md; sim/strict has the
// simulator.
//
// A driver owns a Node: it calls Decide, Receive and Tick (at DueUS) with readings of a monotonic clock in microseconds
// that counts suspended time, sends what Out returns, answers clients by Outcomes, has a replicated register decide on
// each Proposal, and passes decided views to Install. A Gate (gate.go) does that for many goroutines. The
// register is in the folder below.
package strict
