// Package beside sends the same requests to starling and to nginx, well-formed and malicious, and compares the answers.
package beside

import (
	"testing"

	"starling/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
