// Package version says what this program is and which nginx it behaves as.
package version

// The versions. Nginx gates what clients and test suites expect; it is the release whose behaviour was read.
const (
	Starling = "0.2.0"
	Nginx    = "1.31.5"
)

// Server is the token of the Server header and of the pages of errors.
const Server = "starling/" + Starling
