// Package h2 is the server side of HTTP/2 on the wire: frames, header compression, flow control and stream states (RFC
// 9113, RFC 7541).
//
// It knows nothing else of starling but web/h1, whose heads and buffers it shares. DESIGN.md describes how it works and
// why it is our own.
package h2
