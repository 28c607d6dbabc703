package kinds

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"starling/zone"
)

// Releases of one cluster understand each other: what was once sent is read and written the same for ever.
// A change here needs another format number beside the old one.
func TestGoldenPayloads(t *testing.T) {
	bucket, session, keyval := newTestBucket(1<<20, 1000), newTestSession(8000), newTestKeyval(0)
	bucket.SetOrigin(0x0102030405060708)
	for range 3 {
		bucket.Account([]byte{192, 0, 2, 1}, at(0), 5000)
	}
	conn := newGoldenConn()
	session.Bind([]byte("one"), []byte("10.0.0.1:80"), at(5))
	keyval.Set([]byte("k"), []byte("value"), 1500, at(5))
	keyval.Delete([]byte("k"), at(6))
	keyval.Set([]byte("k2"), []byte("v"), NoExpire, at(6))
	for name, test := range map[string]struct {
		zone  zone.Shared
		shard []byte // a key of the shard that is taught
		frame string
		piece string
	}{
		"bucket": {bucket, []byte{192, 0, 2, 1},
			"02cf04c00002010300", "03cf0108070605040302010104c0000201ae17"},
		"session": {session, []byte("one"),
			"018aa0f1c2b134c03ed20e6f6e65090000000b31302e302e302e313a383000", "018aa0f1c2b134c03ed20e6f6e65090000000b31302e302e302e313a383000"},
		"keyval": {keyval, []byte("k"),
			"018aa0f1c2b13400c4086b320701017600e4056b070000", "018aa0f1c2b13400e4056b070000"},
		"conn": {conn, []byte{192, 0, 2, 1},
			"04cf04c00002010200", "05cf0108070605040302010104c0000201010002"},
		"health": {newGoldenHealth(), []byte("k"),
			"06e4016b02757000", "07e401080706050403020101016b027570"},
	} {
		test.zone.Flush(at(10))
		frame, _, _, _ := test.zone.Journal().Frame(zone.FirstSequence)
		if got := hex.EncodeToString(frame); got != test.frame {
			t.Errorf("frame of a %s:\n%s, want\n%s", name, got, test.frame)
		}
		piece, _, _ := test.zone.TeachShard(zone.ShardOf(zone.KeyHash(test.shard)), 0, nil, 1000, at(10))
		if got := hex.EncodeToString(piece); got != test.piece {
			t.Errorf("taught piece of a %s:\n%s, want\n%s", name, got, test.piece)
		}
	}
}

func newGoldenConn() *Conn {
	conn := NewConn(ConnConfig{Name: "conn", Bytes: 1 << 20})
	conn.SetOrigin(0x0102030405060708)
	for range 2 {
		conn.Enter([]byte{192, 0, 2, 1}, 9)
	}
	return conn
}

func newGoldenHealth() *Health {
	health := NewHealth(HealthConfig{Name: "health", Bytes: 1 << 20})
	health.SetOrigin(0x0102030405060708)
	if err := health.Say([]byte("k"), []byte("up"), at(5)); err != nil {
		panic(err)
	}
	return health
}

// Who writes another implementation has the specification only: its examples are the bytes that are really sent.
func TestTheSpecificationShowsGoldenPayloads(t *testing.T) {
	text, err := os.ReadFile("../../cluster/wire/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	bucket, keyval := newTestBucket(1<<20, 1000), newTestKeyval(0)
	bucket.SetOrigin(0x0102030405060708)
	for range 3 {
		bucket.Account([]byte{192, 0, 2, 1}, at(0), 5000)
	}
	keyval.Set([]byte("k"), []byte("value"), NoExpire, at(5))
	keyval.Delete([]byte("k"), at(6))
	keyval.Set([]byte("k2"), []byte("v"), NoExpire, at(6))
	conn := newGoldenConn()
	for _, z := range []zone.Shared{bucket, keyval, conn, newGoldenHealth()} {
		z.Flush(at(10))
		frame, _, _, _ := z.Journal().Frame(zone.FirstSequence)
		if !strings.Contains(string(text), "    "+hex.EncodeToString(frame)+"\n") {
			t.Errorf("PROTOCOL.md does not show the frame %x of zone %q", frame, z.Info().Name)
		}
	}
	for _, z := range []zone.Shared{bucket, conn} {
		piece, _, _ := z.TeachShard(zone.ShardOf(zone.KeyHash([]byte{192, 0, 2, 1})), 0, nil, 1000, at(10))
		if !strings.Contains(string(text), "    "+hex.EncodeToString(piece)+"\n") {
			t.Errorf("PROTOCOL.md does not show the taught shard %x of zone %q", piece, z.Info().Name)
		}
	}
}

// A kind says of itself what its zones do: none that is summed is compared, and only what remembers agreements can
// bury.
func TestKindsFitTheirZones(t *testing.T) {
	for _, kind := range All {
		z := kind.New(zone.Info{Name: "z", Bytes: 1 << 20, TimeoutMS: 1000, RateMilli: 1000}, nil)
		compared, isCompared := z.(zone.Comparable)
		if isCompared == kind.Sums {
			t.Errorf("%s: summed %v, comparable %v", kind.Name, kind.Sums, isCompared)
		}
		if isCompared && compared.Sketch(0, zone.Shards, 1<<10) == nil {
			t.Errorf("%s: there is no sketch to compare it by", kind.Name)
		}
		if _, remembers := z.(zone.Remembering); remembers != kind.Buries {
			t.Errorf("%s: buries %v, remembers %v", kind.Name, kind.Buries, remembers)
		}
		if kind.Holds == "" {
			t.Errorf("%s: logs cannot say what it holds", kind.Name)
		}
	}
}

func TestNumbersOfKindsNeverChange(t *testing.T) {
	got := ""
	for _, kind := range All {
		got += fmt.Sprintf("%d %s\n", kind.Number, kind.Name)
		z := kind.New(zone.Info{Name: "z", Bytes: 1 << 20, TimeoutMS: 1000, RateMilli: 1000}, nil)
		if info := z.Info(); info.Kind != kind.Kind || info.Name != "z" || info.Bytes != 1<<20 || info.Incarnation == 0 {
			t.Errorf("%s makes %+v", kind.Name, info)
		}
	}
	for i, kind := range Kinds() {
		if kind != All[i].Kind {
			t.Errorf("kind %d is %q in one list and %q in the other", i, All[i].Name, kind.Name)
		}
	}
	if want := "1 session\n2 keyval\n3 bucket\n4 servers\n5 conn\n6 health\n"; got != want {
		t.Errorf("kinds are\n%swant\n%s", got, want)
	}
}
