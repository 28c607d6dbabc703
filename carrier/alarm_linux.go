package carrier

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// alarm sleeps with the precision of the kernel's timers. The runtime's own timers end in an epoll_wait of whole
// milliseconds when nothing else runs, four times the gap between two flushes.
type alarm struct {
	mu    sync.Mutex
	timer *os.File // nil if it could not be created; see sleep
	fd    int
	rung  bool // since the last sleep
}

func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &alarm{} // out of descriptors: coarse timers serve until the next start
	}
	return &alarm{fd: fd, timer: os.NewFile(uintptr(fd), "timerfd")}
}

// sleep waits that long, or until ring. It returns at once if ring came before.
func (a *alarm) sleep(d time.Duration) {
	a.mu.Lock()
	rung := a.rung
	a.rung = false
	armed := !rung && a.set(d)
	a.mu.Unlock()
	switch {
	case rung:
		return
	case !armed:
		time.Sleep(d)
		return
	}
	var expirations [8]byte
	if _, err := a.timer.Read(expirations[:]); err != nil {
		time.Sleep(d)
	}
}

// ring ends the current sleep, or the next one if there is none.
func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rung = true
	a.set(1)
}

// set arms the timer. Called with mu held.
func (a *alarm) set(d time.Duration) bool {
	if a.timer == nil {
		return false
	}
	value := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	return unix.TimerfdSettime(a.fd, 0, &value, nil) == nil
}

func (a *alarm) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Close()
		a.timer = nil
	}
}
