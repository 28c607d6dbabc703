package forward

import "starling/plan"

// LimitStores bounds the temporary files of PREFIX_store.
func LimitStores(p *plan.Plan, bytes int64) { storesOf(p).limit = bytes }

// MoveStored has files renamed by another function.
func MoveStored(p *plan.Plan, move func(from, to string) error) { storesOf(p).move = move }

// StoringBytes is the size of the temporary files of PREFIX_store.
func StoringBytes(p *plan.Plan) int64 { return storesOf(p).bytes.Load() }
