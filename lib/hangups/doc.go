// Package hangups tells when the other sides of sockets close them. It costs one system call per socket, once, and
// nothing while bytes come and go: no timer, and one goroutine for all sockets together.
package hangups
