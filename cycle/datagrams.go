package cycle

import (
	"math"

	"starling/lib/packets"
	"starling/logs"

	"golang.org/x/sys/unix"
)

// descriptorShare is the part of the descriptors that UDP sessions may hold: one in two. Anybody can begin a session
// with a forged datagram, and connections, with those to their servers, need the rest.
const descriptorShare = 2

// shareOfDescriptors is how many UDP sessions there may be. The limit is asked for each time: worker_rlimit_nofile
// changes it.
func shareOfDescriptors() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64 // which it cannot: the limit of each socket holds then
	}
	return int64(min(limit.Cur, math.MaxInt64) / descriptorShare)
}

// bounded is a listener of datagrams whose sessions can be bounded (*packets.Listener). A Transport with connections
// that a stranger cannot forge need not have one.
type bounded interface {
	Share(budget *packets.Budget)
	Limit(sessions int)
	OnRefuse(say func(why string))
}

// share has the sessions of a UDP socket count in a budget.
func (l *listener) share(budget *packets.Budget) {
	if socket, ok := l.socket.(bounded); ok {
		socket.Share(budget)
	}
}

// limit sets how many sessions a UDP socket may have, and where to say that it has them.
func (l *listener) limit(sessions int, log func() logs.Logger) {
	socket, ok := l.socket.(bounded)
	if !ok {
		return
	}
	socket.Limit(sessions)
	socket.OnRefuse(func(why string) {
		log().Logf(logs.Alert, "%s: %s; dropping datagrams of new clients", l.key.addr, why)
	})
}
