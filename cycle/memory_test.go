package cycle_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"starling/lib/testkit"
	"starling/modules/shared/keyval"
	"starling/zone/kinds"
)

// A big zone that is cleared, or gone from the configuration, leaves nothing behind in the process.
func TestMemoryOfAClearedZoneIsGivenBack(t *testing.T) {
	h := newHost(t)
	var given atomic.Int64
	h.OnGiveBack(func() { given.Add(1) })
	t.Cleanup(h.Stop)
	const big, small = "keyval_zone zone=big:128m; ", "keyval_zone zone=small:128m; "
	configure := func(zones string) { h.run("http { " + zones + "server { listen " + address(t) + "; } }") }
	fill := func(name string, megabytes int) *keyval.Zone {
		for _, z := range h.Current().Plan().Zones.All() {
			if z.Name != name {
				continue
			}
			zone, now := z.Value.(*keyval.Zone), h.Current().Plan().Clock.Now()
			for i := range megabytes {
				if err := zone.Set(fmt.Append(nil, i), make([]byte, kinds.MaxValueBytes), kinds.NoExpire, now); err != nil {
					t.Fatal(err)
				}
			}
			return zone
		}
		return nil
	}
	wait := func(want int64, what string) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if n := given.Load(); n != want {
				return fmt.Errorf("after %s memory was given back %d times, not %d", what, n, want)
			}
			return nil
		})
	}
	configure(big + small)
	fill("small", 1)
	cleared := fill("big", 70)
	h.LookAtMemory() // which happens once a second, and who knows whether it did when the zone was full
	if err := cleared.Clear(h.Current().Plan().Clock.Now()); err != nil {
		t.Fatal(err)
	}
	wait(1, "a clear")
	fill("big", 70)
	h.LookAtMemory()
	configure(small)
	wait(2, "a reload without the zone")
}

// What a state file brought may be cleared within the first second, before the zones are looked at for the first time.
func TestMemoryOfAZoneClearedAtOnceIsGivenBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	text := []byte{'{'}
	for i := range 70 << 20 / kinds.MaxValueBytes {
		text = fmt.Appendf(text, "%q:%q,", strconv.Itoa(i), bytes.Repeat([]byte{'x'}, kinds.MaxValueBytes))
	}
	text[len(text)-1] = '}'
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	var given atomic.Int64
	h.OnGiveBack(func() { given.Add(1) })
	t.Cleanup(h.Stop)
	h.run("http { keyval_zone zone=big:128m state=" + file + "; server { listen " + address(t) + "; } }")
	for _, z := range h.Current().Plan().Zones.All() {
		if err := z.Value.(*keyval.Zone).Clear(h.Current().Plan().Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, patience, func() error {
		if given.Load() == 0 {
			return errors.New("memory was not given back")
		}
		return nil
	})
}

// What has ended leaves a zone that no cluster shares, too: otherwise it would take the room of new pairs forever.
func TestEndedPairsLeaveAZoneOfThisNode(t *testing.T) {
	h := newHost(t)
	t.Cleanup(h.Stop)
	h.run("http { keyval_zone zone=one:32k timeout=1h; server { listen " + address(t) + "; } }")
	for _, z := range h.Current().Plan().Zones.All() {
		zone, now := z.Value.(*keyval.Zone), h.Current().Plan().Clock.Now()
		if err := zone.Set([]byte("short"), []byte("1"), 1, now); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, patience, func() error {
			if stats := zone.Stats(); stats.RecordBytes > 0 {
				return fmt.Errorf("the zone still has %+v", stats)
			}
			return nil
		})
	}
}
