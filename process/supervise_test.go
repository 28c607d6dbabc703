package process

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/systemd"
	"starling/logs"
)

// The process lives if clients are accepted and signals obeyed; a reload may take its time.
func TestWhatTheWatchdogHears(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	t.Setenv("WATCHDOG_USEC", "20000000")
	manager, err := systemd.Attend()
	if err != nil {
		t.Fatal(err)
	}
	stalled := errors.New("clients wait")
	for _, c := range []struct {
		name          string
		obeys, busy   bool
		stalled, want error
	}{
		{"all is well", true, false, nil, nil},
		{"clients are not accepted", true, false, stalled, stalled},
		{"clients are not accepted during a reload", false, true, stalled, stalled},
		{"a reload takes long", false, true, nil, nil},
		{"signals are not obeyed", false, false, nil, errors.New("signals were not handled for 5s")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSupervisor(manager, func() logs.Logger { return logs.Discard })
				ctx, end := context.WithCancel(t.Context())
				defer end()
				if c.obeys {
					go func() {
						select {
						case <-s.ping:
						case <-ctx.Done():
						}
					}()
				}
				began := time.Now()
				err := s.check(ctx, func() bool { return c.busy }, func() error { return c.stalled })
				if (err == nil) != (c.want == nil) || err != nil && err.Error() != c.want.Error() {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if strings.HasPrefix(c.name, "signals") != (time.Since(began) > 0) {
					t.Errorf("it took %v of virtual time", time.Since(began))
				}
			})
		})
	}
}
