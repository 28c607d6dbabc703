// Package guide tests the configurations that the guide shows, TLS between nodes, and refused configurations.
package guide

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
