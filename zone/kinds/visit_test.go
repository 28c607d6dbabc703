package kinds

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"starling/zone"
)

// inShard makes keys of one shard.
func inShard(shard, count int) (keys []string) {
	for i := 0; len(keys) < count; i++ {
		if key := fmt.Sprint("key", i); zone.ShardOf(zone.KeyHash([]byte(key))) == shard {
			keys = append(keys, key)
		}
	}
	return keys
}

// Most pairs of a shard go while somebody reads them slot by slot: the shard gives its memory back, and what stays is
// seen once.
func TestVisitorsOfAShardThatShrinks(t *testing.T) {
	keys := inShard(3, 2000)
	kept := func(i int) bool { return i%40 == 0 }
	full := func() *Keyval {
		k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 4 << 20})
		for _, key := range keys {
			k.Set([]byte(key), make([]byte, 300), NoExpire, at(0))
		}
		return k
	}
	empty := func(k *Keyval) {
		for i, key := range keys {
			if !kept(i) {
				k.Delete([]byte(key), at(1))
			}
		}
		k.Tick(at(2))
	}
	k, seen := full(), map[string]int{}
	for pair := range k.Visit(at(0)) {
		if len(seen) == 0 {
			empty(k)
		}
		seen[string(pair.Key)]++
	}
	taught := newTestKeyval(0)
	teacher, begun := full(), false
	for cursor, done := uint64(0), false; !done; begun = true {
		var piece []byte
		piece, cursor, done = teacher.TeachShard(3, cursor, nil, 4096, at(0))
		if _, err := taught.Learn(piece, at(0)); err != nil && len(piece) > 0 {
			t.Fatal(err)
		}
		if !begun {
			empty(teacher)
		}
	}
	for i, key := range keys {
		if !kept(i) {
			continue
		}
		if seen[key] != 1 {
			t.Errorf("%s was visited %d times", key, seen[key])
		}
		if _, found := taught.Get([]byte(key), at(3)); !found {
			t.Errorf("%s was not taught", key)
		}
	}
	k.Tick(at(3)) // nobody visits any more
	if sh := k.store.ShardNumber(3); sh.Len() > 100 {
		t.Errorf("%d slots are kept for %d pairs", sh.Len(), k.Len())
	}
}

// What is written of a big zone costs next to no memory beside it.
func TestABigZoneIsWrittenInPieces(t *testing.T) {
	k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 64 << 20})
	value := strings.Repeat("значение", 20)
	for i := range 3 * sortedPairs {
		k.Set(fmt.Appendf(nil, "key%d", i), []byte(value), NoExpire, at(0))
	}
	pieces, longest := 0, 0
	count := func(p []byte) (int, error) {
		pieces, longest = pieces+1, max(longest, len(p))
		return len(p), nil
	}
	cost := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := k.WriteState(writer(count), at(0)); err != nil {
				b.Fatal(err)
			}
		}
	})
	if pieces == 0 || longest > 2*stateWriteBytes || cost.AllocedBytesPerOp() > 1<<20 {
		t.Errorf("%d pieces of up to %d bytes, %d bytes allocated", pieces, longest, cost.AllocedBytesPerOp())
	}
	broken := errors.New("no room")
	if err := k.WriteState(writer(func([]byte) (int, error) { return 0, broken }), at(0)); !errors.Is(err, broken) {
		t.Errorf("a failure is not told: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// stateOf is the JSON object of a zone.
func stateOf(k *Keyval, nowMS int64) string {
	var out strings.Builder
	if err := k.WriteState(&out, at(nowMS)); err != nil {
		return err.Error()
	}
	return out.String()
}

// The JSON file fills in what a damaged log has lost, and brings nothing back that the log knows to be gone.
func TestSalvage(t *testing.T) {
	k := newTestKeyval(0)
	k.Set([]byte("cleared"), []byte("x"), NoExpire, at(0))
	k.Clear(at(100))
	k.Set([]byte("deleted"), []byte("x"), NoExpire, at(200))
	k.Set([]byte("newer"), []byte("2"), NoExpire, at(200))
	k.Delete([]byte("deleted"), at(300))
	// "lost" was written at 200, too, but the log has lost it. The file was saved at 250.
	file := `{"lost":"1","deleted":"x","newer":"1","bad":1}`
	if err := k.SalvageState([]byte(file), at(250).WallMS, at(400)); err == nil || !strings.Contains(err.Error(), `key "bad"`) {
		t.Errorf("the pair that is wrong: %v", err)
	}
	mustHave(t, k, "lost", "1", 400)
	mustHave(t, k, "newer", "2", 400)
	mustLack(t, k, "deleted", 400)
	// Of a file saved before the clear nothing is taken.
	k.SalvageState([]byte(`{"cleared":"x"}`), at(50).WallMS, at(400))
	mustLack(t, k, "cleared", 400)
}

func TestQuotedTextIsJSON(t *testing.T) {
	for _, text := range []string{"", "plain", `"\`, "a\n\x00\x1fb", "é\u2028 \u2029\U0001F600<&>", "\x7f", "\xff", "a\xc3"} {
		quoted := AppendQuoted(nil, []byte(text))
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != strings.ToValidUTF8(text, "\uFFFD") {
			t.Errorf("%q becomes %s and then %q: %v", text, quoted, back, err)
		}
	}
}
