package lan

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Trouble is the disturbance of a direction between two hosts. The zero value is a good link.
type Trouble struct {
	// Cut drops everything silently, like a pulled cable behind a switch.
	Cut bool
	// Loss is the share of packets that are dropped, 0 to 1.
	Loss float64
	// Delay is added to the transit of each packet; the order is kept.
	Delay time.Duration
}

// queueLength bounds the waiting packets in one direction; a thousand packets is what Linux gives an interface.
const queueLength = 1000

// link is a direction with trouble.
type link struct {
	trouble Trouble
	queue   chan delayed
}

type delayed struct {
	due    time.Time
	to     *Host
	packet []byte
}

// Set sets a trouble in both directions between two hosts; the zero value heals them.
func (n *Network) Set(a, b *Host, t Trouble) {
	n.SetOneWay(a, b, t)
	n.SetOneWay(b, a, t)
}

// SetOneWay sets a trouble in the direction from a to b.
func (n *Network) SetOneWay(a, b *Host, t Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := pair{a.Addr, b.Addr}
	if old := n.links[key]; old != nil && old.queue != nil {
		close(old.queue)
	}
	delete(n.links, key)
	if t == (Trouble{}) {
		return
	}
	l := &link{trouble: t}
	if t.Delay > 0 {
		l.queue = make(chan delayed, queueLength)
		n.readers.Go(func() { n.deliver(l.queue) })
	}
	n.links[key] = l
}

// Partition cuts every link between the hosts of different sides and heals those within a side.
func (n *Network) Partition(sides ...[]*Host) {
	for i, side := range sides {
		for k, other := range sides {
			for _, a := range side {
				for _, b := range other {
					if a != b {
						n.SetOneWay(a, b, Trouble{Cut: i != k})
					}
				}
			}
		}
	}
}

// Heal makes every link good.
func (n *Network) Heal() {
	n.mu.RLock()
	var bad []pair
	for p := range n.links {
		bad = append(bad, p)
	}
	n.mu.RUnlock()
	for _, p := range bad {
		n.SetOneWay(n.at(p.from), n.at(p.to), Trouble{})
	}
}

func (n *Network) at(a netip.Addr) *Host {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.hosts[a]
}

// carry drops, delays or delivers a packet.
func (l *link) carry(to *Host, packet []byte) {
	n := to.network
	if l.trouble.Cut || l.trouble.Loss > 0 && rand.Float64() < l.trouble.Loss {
		n.dropped.Add(1)
		return
	}
	if l.queue == nil {
		to.receive(packet)
		return
	}
	n.mu.RLock() // the queue is closed under the lock
	defer n.mu.RUnlock()
	if n.links[pair{addressFrom(packet), to.Addr}] != l {
		n.dropped.Add(1)
		return
	}
	select {
	case l.queue <- delayed{time.Now().Add(l.trouble.Delay), to, bytes.Clone(packet)}:
	default:
		n.dropped.Add(1)
	}
}

func addressFrom(packet []byte) netip.Addr { return netip.AddrFrom4([4]byte(packet[12:16])) }

// deliver passes packets on when their time has come, until the queue or the network is closed.
func (n *Network) deliver(queue chan delayed) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case d, ok := <-queue:
			if !ok {
				return
			}
			timer.Reset(time.Until(d.due))
			select {
			case <-timer.C:
				d.to.receive(d.packet)
			case <-n.done:
				return
			}
		case <-n.done:
			return
		}
	}
}
