package zone

import "starling/lib/clock"

// Need is what a delivery waits for.
type Need struct {
	// Nodes is how many nodes must have the changes, this one included. 0 waits for all connected peers except those
	// that were left out because they did not acknowledge in time.
	Nodes int
	// OnDisk waits until a node whose zone has state has the changes on disk. Only with Nodes.
	OnDisk bool
	// From is the head of the journal before the first of the changes. Only with Nodes.
	From uint64
	// LimitMS is how long the waiter waits at most. Without Nodes, peers that take longer are left out.
	LimitMS int64
}

// AllNodes as Need.Nodes means this node and every member of the cluster, connected or not.
const AllNodes = 1 << 30

// Waiting is a wait for peers. They end it, or its time runs out.
type Waiting interface {
	// Done is closed when peers have ended the wait.
	Done() <-chan struct{}
	// End ends the wait of one waiter; late means that its time has run out. Each waiter calls it once.
	End(late bool, now clock.Reading)
}

// Delivery follows the local changes that were made before it began to the peers. It ends when as many nodes have the
// changes as needed.
type Delivery interface {
	Waiting
	// Nodes is how many nodes have the changes, this one included, and how many are needed. Only with Need.Nodes.
	Nodes() (have, needed int)
}

// OnDeliver sets the function that makes deliveries: the cluster's.
func (s *Store) OnDeliver(make func(Need) Delivery) { s.deliver.Store(&make) }

// Deliver follows the changes so far to the peers. It returns nil if there is nobody to wait for.
func (s *Store) Deliver(need Need) Delivery {
	if deliver := s.deliver.Load(); deliver != nil && s.Synced() {
		return (*deliver)(need)
	}
	return nil
}

// Durable is a Shared that can have a state on disk.
type Durable interface {
	Shared
	// Keep waits until all that the zone holds is on disk; it returns at once if the zone has no state.
	Keep() error
}

// OnAsk sets the function that asks the peers for records: the cluster's.
func (s *Store) OnAsk(ask func(key []byte, now clock.Reading) Waiting) { s.ask.Store(&ask) }

// Ask asks the peers for the record of a key that is not here. The wait ends when the record has arrived, or all peers
// have answered that they have none. It is nil if there is no peer to ask, or the peers were asked a moment ago.
func (s *Store) Ask(key []byte, now clock.Reading) Waiting {
	if ask := s.ask.Load(); ask != nil && s.Synced() {
		return (*ask)(key, now)
	}
	return nil
}

// Findable is a Shared whose records peers can ask for by their keys.
type Findable interface {
	Shared
	// OnAsk sets the function that asks the peers for records.
	OnAsk(ask func(key []byte, now clock.Reading) Waiting)
	// AppendRecord appends the record of a key that readers can find, in the encoding of taught pieces; nothing if
	// there is none.
	AppendRecord(dst, key []byte, now clock.Reading) []byte
	// TakeRecord merges what a peer's AppendRecord has returned for a key, and reports whether readers find a record of
	// the key then. It fails if the payload has anything else.
	TakeRecord(key, payload []byte, now clock.Reading) (found bool, applied Applied, err error)
}
