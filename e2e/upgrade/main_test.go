// Package upgrade tests that the binary is replaced without a gap.
package upgrade

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
