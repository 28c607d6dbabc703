// Package upgrade tests that the binary is replaced without a gap.
package upgrade
