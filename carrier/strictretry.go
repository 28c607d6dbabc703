package carrier

import (
	"errors"
	"slices"
	"time"

	"starling/cluster/strict"
	"starling/logs"
)

const (
	// retryFirstUS is how long after a failure of its disk a register is started again, retryMostUS how long after
	// many: each try writes a line, and a node whose disk has room again should decide soon.
	retryFirstUS = 1_000_000
	retryMostUS  = 32_000_000
)

// retry backs off from a disk that fails.
type retry struct {
	failedUS, pauseUS int64
}

// after returns how long to wait after a failure: twice as long as last time, unless it worked for a while since.
func (b *retry) after(nowUS int64) (pauseUS int64) {
	if nowUS >= b.failedUS+b.pauseUS+retryMostUS {
		b.pauseUS = 0
	}
	b.failedUS, b.pauseUS = nowUS, min(max(2*b.pauseUS, retryFirstUS), retryMostUS)
	return b.pauseUS
}

// errDisk is the error of a disk that failed before and still fails.
type errDisk struct{ error }

// probe writes the file again as it is, if the last write failed. The register starts only if that works: otherwise it
// would log its start, and fail at its first vote. The caller has locked the file.
func (r *strictRunner) probe(saved []byte) error {
	if r.retry.pauseUS == 0 || len(saved) == 0 {
		return nil
	}
	if err := (disk{&r.config}).Save(saved); err != nil {
		return errDisk{err}
	}
	return nil
}

// fail ends the register, whose disk failed, and has it start again later.
func (r *strictRunner) fail(err error, nowUS int64) {
	pauseUS := r.retry.after(nowUS)
	beyond := ""
	if slices.ContainsFunc(r.config.Gates, (*strict.Gate).Shares) {
		beyond = " (with strict_fallback=share: nothing beyond this node's share)"
	}
	r.carrier.logf(logs.Error, "strict limits: %v; strict zones admit nothing%s until that works; trying again in %v",
		err, beyond, time.Duration(pauseUS)*time.Microsecond)
	why := "its register failed: " + err.Error()
	r.end(why, false)
	for _, gate := range r.config.Gates {
		if gate.Closed() != why {
			gate.Close(why)
		}
	}
	r.lookUS = nowUS + pauseUS
}

// beginOrWait starts the register, and reports whether that works.
func (r *strictRunner) beginOrWait(wanted *seating, nowUS int64) bool {
	err := r.begin(wanted, nowUS)
	if failed := (errDisk{}); errors.As(err, &failed) {
		r.fail(failed.error, nowUS)
	} else if err != nil {
		r.closeAll(err.Error(), false)
	}
	return err == nil
}
