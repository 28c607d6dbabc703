/*
Package cluster is the sync protocol: it replicates shared zones to all nodes of a cluster.

It is pure. It opens no socket, starts no goroutine and never asks for the time: a Driver moves the bytes of its
sessions, and every call passes a reading of the clock. The driver in carrier uses sockets, the simulator a virtual
network. DESIGN.md in this folder describes the path of an update, wire/PROTOCOL.md the bytes.

# Starting a node

Make the zones (zone/kinds), then the Node, and tell it the number of members with Expect. While that is -1 (unknown), a
node that meets no peer waits AloneMS before it is ready.

	node, err := cluster.New(cluster.Config{
		ID:          id,          // kept over restarts if the node has state; IDOf derives it from a certificate
		Incarnation: incarnation, // never used before by this node: the start time will do
		Zones:       zones,
		Kinds:       kinds.Kinds(),
		Settings:    cluster.Defaults,
		Driver:      driver,
	}, clock.Now())
	node.Expect(len(members))

# Driving a connection

Each node dials every member and pushes its own changes over that connection; it accepts the connections of all others.
So two nodes have two connections, one for each direction. For each connection, dialled or accepted:

	session, err := node.Connected(cluster.Connection{
		Outgoing: dialled, Address: address, Host: host, Subject: subject,
	}, clock.Now())

Connection.Subject must come from a verified certificate: ids, origins and the right to vote on the time are bound
to it.

The reader, one goroutine for each session, runs until Filled fails:

	for {
		n, err := conn.Read(session.Space(4096))
		if err != nil {
			break
		}
		if session.Filled(n, clock.Now()) != nil {
			break
		}
	}

The writer runs after each Wake, and again after SendDelay if that is not negative:

	for {
		out = session.Outbox(out[:0], 64<<10, clock.Now())
		if len(out) == 0 {
			break
		}
		conn.Write(out)
	}

When the connection has ended, on either side: wait for the reader to return, then call session.Lost once. Session.Ended
returns why the core ended it. When the core calls Driver.End, send the rest of Outbox, which includes the goodbye, and
close.

# Time

Call Node.Tick about every 100 ms: heartbeats, timeouts, expiry and digests depend on it. A clock.Reading has the wall
clock and a monotonic clock; read both at once. Zones stamp with Node.ClusterTime, never with the wall clock.

# Flushing

A change of a shared zone calls Driver.FlushSoon. Wait for the duration that NextFlush returns, call Flush, and report
its cost with Spent, which paces the next flush. Nothing is sent without Flush.

# Shutting down

Stop says goodbye on every session. To lose nothing, flush, wait until Drained, then Stop.

# Never

  - Call the core from a method of Driver: it holds locks. Note the event, wake a goroutine, return.
  - Read for one session from two goroutines, or call Lost while the session's reader may still call Filled: a frame
    could be applied twice or out of order.
  - Use an Incarnation in two lives of a node: peers would resume at the cursor of the earlier life.
  - Share a zone between two nodes, or write to it other than through its methods: changes without a stamp are not sent.
  - Pass a Reading whose monotonic part goes back, or comes from another machine.
  - Drop a Session without Lost: its peer remains connected in the API and in Drained.

All other methods can be called from any goroutine.
*/
package cluster
