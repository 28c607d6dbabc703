package testkit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that a helper fails.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic(r) }

// A condition counts if it is met when the limit has passed, also if the check before took until then.
func TestEventuallyLooksOnceMore(t *testing.T) {
	for name, test := range map[string]struct {
		takes  time.Duration // the first check
		after  time.Duration // when the condition is met
		failed bool
	}{
		"at once":                      {0, 0, false},
		"within the limit":             {0, 900 * time.Millisecond, false},
		"during a check":               {3 * time.Second, 2 * time.Second, false},
		"never":                        {0, time.Hour, true},
		"never, and a check took long": {3 * time.Second, time.Hour, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, began := &recorder{TB: t}, time.Now()
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(r) {
						panic(p)
					}
				}()
				first := true
				Eventually(r, time.Second, func() (err error) {
					if time.Since(began) < test.after {
						err = errors.New("not yet")
					}
					if first {
						<-time.After(test.takes) // of virtual time
					}
					first = false
					return err
				})
			}()
			if r.failed != test.failed {
				t.Errorf("%s: failed is %v", name, r.failed)
			}
		})
	}
}
