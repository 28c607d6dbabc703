// Package hostile tests nodes under attack, by strangers and by members of the cluster.
package hostile

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
