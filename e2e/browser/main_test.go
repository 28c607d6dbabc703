// Package browser looks at the dashboard of real nodes with a real browser.
package browser

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
