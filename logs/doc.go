// Package logs writes the error log and the access logs of a running starling, to files, syslog and stderr, and reopens
// them.
package logs
