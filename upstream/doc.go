// Package upstream is groups of servers: the selection of a server for a request, the accounting, and the idle
// connections.
//
// A Group is an `upstream` block, an Attempt is one request's use of it:
//
//	group.Begin(&a)
//	a.Want(sessionID)             // sticky
//	for {
//		server, err := a.Pick(now) // ErrNoLive: 502
//		...
//		a.Free(upstream.Failure, now)
//		if a.TriesLeft() == 0 { break }
//	}
//
// Selection uses no sockets and takes the time as an argument. See DESIGN.md.
package upstream
