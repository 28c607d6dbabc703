// Package h2client is the client side of HTTP/2, for families that forward requests with it. A connection carries one
// request at a time, as in nginx, and many one after another. DESIGN.md has the reasons.
package h2client
