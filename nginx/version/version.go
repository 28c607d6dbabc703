// Package version has the versions of this program and of the nginx whose behaviour it has.
package version

// The versions. Nginx is the release whose behaviour was read; clients and test suites expect its features.
const (
	Starling = "0.2.0"
	Nginx    = "1.31.5"
)

// Server is the token of the Server header and of error pages.
const Server = "starling/" + Starling
