package process

import (
	"context"
	"fmt"
	"time"

	"starling/lib/systemd"
	"starling/logs"
)

// The watchdog is notified twice per interval, as sd_watchdog_enabled(3) advises.
const beatsPerWatchdog = 2

// supervisor keeps the service manager informed, if one started the process.
type supervisor struct {
	*systemd.Manager
	log func() logs.Logger
	// ping is received by the goroutine that handles signals.
	ping chan struct{}
}

func newSupervisor(m *systemd.Manager, log func() logs.Logger) *supervisor {
	return &supervisor{Manager: m, log: log, ping: make(chan struct{})}
}

// tell logs a message that could not be sent: the service manager may then end the process, and the log has the reason.
func (s *supervisor) tell(err error) {
	if err != nil {
		s.log().Logf(logs.Error, "%v", err)
	}
}

// watch notifies the watchdog as long as the process works: it handles signals and accepts clients. A reload can take
// long, because it loads state files and resolves names, so the goroutine that handles signals reports its start
// (busy).
func (s *supervisor) watch(ctx context.Context, busy func() bool, stalled func() error) {
	if s.Watchdog() == 0 {
		return
	}
	ticks := time.NewTicker(s.Watchdog() / beatsPerWatchdog)
	defer ticks.Stop()
	for {
		if err := s.check(ctx, busy, stalled); err == nil {
			s.tell(s.Alive())
		} else if ctx.Err() == nil {
			s.log().Logf(logs.Alert, "not telling the watchdog that the process is alive: %v", err)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// check finds out whether the process works.
func (s *supervisor) check(ctx context.Context, busy func() bool, stalled func() error) error {
	if err := stalled(); err != nil || busy() {
		return err
	}
	limit := s.Watchdog() / beatsPerWatchdog / 2
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case s.ping <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		if busy() {
			return nil
		}
		return fmt.Errorf("signals were not handled for %v", limit)
	}
}
