// Package nodes tests clusters on loopback: members, sessions, limits, state, reloads and rollouts.
package nodes

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
