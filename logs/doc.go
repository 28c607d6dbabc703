// Package logs writes the error log and the access logs of a running starling, to files, syslog and stderr, and reopens
// them. What another program reads, such as a pipe, is written by a goroutine of its own: a reader that stops delays no
// request.
package logs
