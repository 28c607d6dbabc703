package plan_test

import (
	"testing"

	"starling/plan"
)

// TestThePreviousPlanStaysAsItIs: it serves while the next one is built.
func TestThePreviousPlanStaysAsItIs(t *testing.T) {
	type thing struct{ n int }
	p := plan.New()
	if got := plan.Before[thing](p); got.n != 0 {
		t.Errorf("without a previous plan: %+v", got)
	}
	p.Old = plan.New()
	if got := plan.Before[thing](p); got.n != 0 || plan.Find[thing](p.Old) != nil {
		t.Errorf("a plan without one: %+v, and it has %+v now", got, plan.Find[thing](p.Old))
	}
	plan.Part[thing](p.Old).n = 5
	if got := plan.Before[thing](p); got.n != 5 {
		t.Errorf("a plan with one: %+v", got)
	}
}
