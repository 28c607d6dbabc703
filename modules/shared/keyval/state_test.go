package keyval

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/plan"
	"starling/zone/kinds"
)

// countWaits counts how often a write waits for the disk.
func countWaits(p *plan.Plan) *int {
	z, waits := zoneOf(p), new(int)
	s := plan.Part[stores](p).byPath[z.spec.state]
	z.OnCommit(func(record []byte) (func() error, error) {
		wait, err := s.keep(z.Keyval, record, p.Log)
		return func() error { *waits++; return wait() }, err
	}, func(payload []byte) { s.remote(z.Keyval, payload, p.Log) })
	return waits
}

// manyPairs is the body of a POST.
func manyPairs(count int) string {
	var body strings.Builder
	for i := range count {
		fmt.Fprintf(&body, `,"key %d":"value %d"`, i, i)
	}
	return "{" + body.String()[1:] + "}"
}

// A request waits for the disk once, however many pairs it brings, and is not answered before.
func TestARequestWaitsForTheDiskOnce(t *testing.T) {
	const pairs = 3000
	folder := t.TempDir()
	text := "keyval_zone zone=one:1m state=" + folder + "/FILE;"
	p := start(t, strings.Replace(text, "FILE", "a", 1), nil)
	waits := countWaits(p)
	for i, step := range []struct {
		call, want string
		left       int
	}{
		{"POST one " + manyPairs(pairs), "201", pairs},
		{`PATCH one {"key 7":null}`, "204", pairs - 1},
		{"DELETE one", "204", 0},
		// The last one has no room: those before it are taken back.
		{"POST one " + strings.Replace(manyPairs(pairs), "value 2999", strings.Repeat("x", 1<<20), 1), "400 KeyvalOutOfMemory", 0},
	} {
		*waits = 0
		if got := call(p, step.call); !strings.HasPrefix(got, step.want) || *waits != 1 {
			t.Errorf("%.20s…: %.60s, and it waited for the disk %d times", step.call, got, *waits)
		}
		// What a crash leaves now:
		log, err := os.ReadFile(filepath.Join(folder, "a.log"))
		if err != nil {
			t.Fatal(err)
		}
		crashed := fmt.Sprint("crashed", i)
		if err := os.WriteFile(filepath.Join(folder, crashed+".log"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		if left := zoneOf(start(t, strings.Replace(text, "FILE", crashed, 1), nil)).Len(); left != step.left {
			t.Errorf("%.20s…: %d pairs are on disk, not %d", step.call, left, step.left)
		}
	}
}

// What peers sent is on disk within a second, though nobody waits for it.
func TestWhatPeersSentIsSoonOnDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one")
	text := "keyval_zone zone=one:1m sync state=" + file + ";"
	peer := kinds.NewKeyval(kinds.KeyvalConfig{Name: "one", Bytes: 1 << 20, Sync: true})
	synctest.Test(t, func(t *testing.T) {
		run := func(before *plan.Plan) (p *plan.Plan, stop func()) {
			p, err := load(t, text, before)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if err := p.Start(ctx); err != nil {
				t.Fatal(err)
			}
			return p, cancel
		}
		arrives := func(p *plan.Plan, key string) {
			now := p.Clock.Now()
			peer.Set([]byte(key), []byte("value"), kinds.NoExpire, now)
			peer.Flush(now)
			sequence := peer.Journal().Head() - 1
			payload, _, _, _ := peer.Journal().Frame(sequence)
			if _, err := zoneOf(p).Apply(2, sequence, payload, 0, now); err != nil {
				t.Fatal(err)
			}
		}
		lasts := func(key string) {
			time.Sleep(time.Second)
			synctest.Wait()
			if written, err := os.ReadFile(file + ".log"); err != nil || !bytes.Contains(written, []byte(key)) {
				t.Errorf("%s is not on disk after a second: %q, %v", key, written, err)
			}
		}
		first, stop := run(nil)
		arrives(first, "one")
		lasts("one")
		arrives(first, "two")
		lasts("two")
		arrives(first, "three")
		time.Sleep(syncRemoteAfter / 4)
		second, _ := run(first) // takes over what is due
		stop()
		first.Retire()
		lasts("three")
		second.Retire()
	})
}
