/*
Package cluster is the sync protocol: it keeps shared zones alike on all nodes of a cluster.

It is pure. It opens no socket, starts no goroutine and never asks for the time: a Driver carries the bytes of its sessions and
hands it readings of the clock. carrier does so with sockets, the simulator with a virtual network. DESIGN.md beside this file
tells how an update travels, wire/PROTOCOL.md what the bytes mean.

# Starting a node

Make the zones (zone/kinds), then the Node. It has to know how many members there are: as long as Expect says -1, a node that
meets nobody waits AloneMS before it is ready.

	node, err := cluster.New(cluster.Config{
		ID:          id,          // the same over restarts, where the node keeps state; made of a certificate by IDOf where there is one
		Incarnation: incarnation, // never used before by this node: the time of the start will do
		Zones:       zones,
		Kinds:       kinds.Kinds(),
		Settings:    cluster.Defaults,
		Driver:      driver,
	}, clock.Now())
	node.Expect(len(members))

# Carrying a connection

Each node dials every member and pushes its own changes there; it accepts connections of all others. So two nodes have two
connections, one for each direction. For each of them, whoever dialled:

	session, err := node.Connected(cluster.Link{Outgoing: dialled, Address: address, Host: host, Subject: subject}, clock.Now())

Link.Subject must come from a certificate that was verified: ids, origins and a voice about time are bound to it.

The reader, one goroutine for each session, until Filled fails:

	for {
		n, err := conn.Read(session.Space(4096))
		if err != nil {
			break
		}
		if session.Filled(n, clock.Now()) != nil {
			break
		}
	}

The writer, after each Wake, and once more after SendDelay where that is not negative:

	for {
		out = session.Outbox(out[:0], 64<<10, clock.Now())
		if len(out) == 0 {
			break
		}
		conn.Write(out)
	}

When the connection has ended, whoever ended it: wait for the reader to return, then call session.Lost once. Session.Ended says
why the core ended it. When the core calls Driver.End, send what Outbox still has, the goodbye is in it, and close.

# Time

Call Node.Tick every 100 ms or so: heartbeats, timeouts, expiry and digests depend on it. A clock.Reading has the wall clock and a
monotonic one; take both at once. Zones stamp with Node.ClusterTime, never with the wall clock.

# Flushing

A change of a shared zone calls Driver.FlushSoon. Ask NextFlush how long to wait, then call Flush, and report with Spent what it
cost: that is how pacing works. Nothing is sent without Flush.

# Stopping

Stop says goodbye on every session. To lose nothing, flush, wait until Drained, then Stop.

# What must never be

  - Calling the core from a method of Driver: it is called with locks held. Note what happened, wake a goroutine, return.
  - Two goroutines that read for one session, or a Lost while the reader of the session may still call Filled: a frame could be
    applied twice, or out of order.
  - The same Incarnation in two lives of a node: peers would go on where another life stopped.
  - A zone under two nodes, or written past its own methods: what is not stamped is not sent.
  - A Reading whose monotonic part goes back, or one shared by two machines.
  - Dropping a Session without Lost: its peer stays "connected" for the API and for Drained.

Otherwise all methods may be called from any goroutine.
*/
package cluster
