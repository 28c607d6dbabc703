package api

import (
	"testing"

	"starling/admin"
	"starling/lib/usage"
	"starling/plan"
)

// startOf is the start of the process as the API of a configuration tells it.
func startOf(t *testing.T, p *plan.Plan) float64 {
	t.Helper()
	for _, r := range ownResources(p) {
		if r.Path == "processes/usage" {
			return r.Handle(&admin.Call{Method: "GET", Version: lastVersion}).Body.(usage.Figures).StartTimeSeconds
		}
	}
	t.Fatal("there is no such resource")
	return 0
}

// TestStartOfTheProcess: a reload keeps it. It is known too if only the new configuration has an http block.
func TestStartOfTheProcess(t *testing.T) {
	streamOnly := plan.New()
	first := plan.New()
	first.Old = streamOnly
	began := startOf(t, first)
	if began <= 0 {
		t.Errorf("after a configuration without http, the process began at %v", began)
	}
	second := plan.New()
	second.Old = first
	if got := startOf(t, second); got != began {
		t.Errorf("after a reload, the process began at %v, not at %v", got, began)
	}
}
