// Package partition tests nodes on hosts of their own whose network is cut, slow or lossy.
package partition

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
