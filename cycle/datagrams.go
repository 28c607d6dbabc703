package cycle

import (
	"math"

	"starling/lib/packets"
	"starling/logs"

	"golang.org/x/sys/unix"
)

// descriptorShare is the share of the file descriptors for UDP sessions: one in two. Forged datagrams can start
// sessions, and connections, with those to their servers, need the rest.
const descriptorShare = 2

// shareOfDescriptors is the maximum number of UDP sessions. The limit is read each time, because worker_rlimit_nofile
// changes it.
func shareOfDescriptors() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64 // which it cannot: the limit of each socket applies then
	}
	return int64(min(limit.Cur, math.MaxInt64) / descriptorShare)
}

// bounded is a listener of datagrams whose sessions can be limited (*packets.Listener). A Transport whose connections
// cannot be forged need not have one.
type bounded interface {
	Share(budget *packets.Budget)
	Limit(sessions int)
	OnRefuse(say func(why string))
}

// share counts the sessions of a UDP socket in a budget.
func (l *listener) share(budget *packets.Budget) {
	if socket, ok := l.socket.(bounded); ok {
		socket.Share(budget)
	}
}

// limit sets the maximum number of sessions of a UDP socket, and the log for reaching it.
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
