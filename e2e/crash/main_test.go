// Package crash tests that acknowledged writes survive kills, restarts, frozen processes and full disks.
package crash

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
