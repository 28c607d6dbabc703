// Package upstream is groups of servers: which one takes a request, what became of it, and the idle connections to
// them.
//
// A Group is an `upstream` block, an Attempt is one request's way through it:
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
// Choosing does not touch sockets and takes the time as an argument. See DESIGN.md.
package upstream
