package strict

import (
	"fmt"
	"testing"

	"starling/cluster/strict"
)

func TestQuick(t *testing.T) {
	for _, c := range []struct {
		rate, burst int64
	}{{1000, 999}, {20, 19}, {20, 5}, {100, 0}} {
		for _, hosts := range []int{3, 7, 15} {
			for _, pattern := range []Pattern{Even, One, Shift} {
				line := ""
				for _, times := range []float64{3, 50} {
					w := New(Setup{Hosts: hosts, Limit: strict.Limit{Rate: c.rate * strict.Request, Burst: c.burst}, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200, Seed: 1})
					w.Run(3_000_000)
					before := w.Messages
					w.Offer("k", times, pattern, 10_000_000)
					w.Run(10_100_000)
					sum := w.Sum()
					line += fmt.Sprintf("%6.1f%% / %.3f worst %.3f ;", 100*float64(sum.Admitted)/float64(sum.Allowed),
						float64(w.Messages-before)/float64(sum.Admitted), sum.Worst)
					for _, f := range w.Failures {
						t.Error(f)
					}
				}
				t.Log(c.rate, c.burst, hosts, pattern, line)
			}
		}
	}
}
