package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T, path string) (*Log, []string) {
	t.Helper()
	var records []string
	l, err := Open(path, func(record []byte) error {
		records = append(records, string(record))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, records
}

func appendAll(t *testing.T, l *Log, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := l.Append([]byte(r))(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "one", "two")
	l.Append([]byte("nobody waits"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, records := open(t, path)
	if want := []string{"one", "two", "nobody waits"}; !slices.Equal(records, want) {
		t.Errorf("%q", records)
	}
	appendAll(t, l, "three")
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 || info.Size() != l.Size() {
		t.Errorf("mode %v, size %d, log says %d", info.Mode(), info.Size(), l.Size())
	}
}

// A crash may leave any part of the file: what comes back are always the first records, whole.
func TestAnyCutLeavesWholeRecords(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "log")
	l, _ := open(t, path)
	want := []string{"one", "second record", "3"}
	ends := []int64{int64(len(magic))}
	for _, r := range want {
		appendAll(t, l, r)
		ends = append(ends, l.Size())
	}
	l.Close()
	whole, _ := os.ReadFile(path)
	cut := filepath.Join(folder, "cut")
	for n := range len(whole) + 1 {
		os.WriteFile(cut, whole[:n], 0o600)
		l, records := open(t, cut)
		kept := 0
		for kept < len(want) && ends[kept+1] <= int64(n) {
			kept++
		}
		if !slices.Equal(records, want[:kept]) {
			t.Fatalf("%d bytes: %q", n, records)
		}
		appendAll(t, l, "after the crash")
		l.Close()
		l, records = open(t, cut)
		l.Close()
		if !slices.Equal(records, append(slices.Clone(want[:kept]), "after the crash")) {
			t.Fatalf("%d bytes, written again: %q", n, records)
		}
	}
}

// A failing disk costs the records that it damaged; it is no reason to forget, or to say of the others that they were
// never acknowledged.
func TestADamagedByteCostsItsRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	all := []string{strings.Repeat("long", soughtAtOnce/2), "one", "second record", "3"}
	l, _ := open(t, path)
	appendAll(t, l, all...)
	l.Close()
	whole, _ := os.ReadFile(path)
	begin := len(magic)
	for lost, record := range all {
		end := begin + headBytes + len(record)
		places := []int{begin + headBytes, end - 1, begin + 4, begin + 7} // in the record, in its sum
		if len(record) < soughtAtOnce {
			places = append(places, begin, begin+1, begin+2, begin+3) // in its length
		}
		for _, n := range places {
			damaged := slices.Clone(whole)
			damaged[n] ^= 0x40
			os.WriteFile(path, damaged, 0o600)
			l, records := open(t, path)
			if want := slices.Delete(slices.Clone(all), lost, lost+1); !slices.Equal(records, want) {
				t.Fatalf("byte %d: %.40q is left", n, records)
			}
			torn := lost == len(all)-1 // as a crash leaves it
			if torn != (l.Dropped() > 0) || torn != (l.Damaged() == 0) || !torn && l.Damaged() != int64(end-begin) {
				t.Errorf("byte %d: %d bytes dropped, %d damaged", n, l.Dropped(), l.Damaged())
			}
			if !torn && l.DamagedAt() != int64(begin) {
				t.Errorf("byte %d: the damage is said to begin at %d, want %d", n, l.DamagedAt(), begin)
			}
			if kept, _ := os.ReadFile(path + DamagedPostfix); torn != (len(kept) == 0) || !torn && !bytes.Equal(kept, damaged) {
				t.Errorf("byte %d: the log is not kept as it was found", n)
			}
			l.Close()
			os.Remove(path + DamagedPostfix)
		}
		begin = end
	}
}

func TestOtherFilesAreNotTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx.conf")
	os.WriteFile(path, []byte("events {}"), 0o644)
	if _, err := Open(path, nil); !errors.Is(err, ErrNotALog) {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "events {}" {
		t.Errorf("now %q", text)
	}
}

func TestRotateKeepsWhatIsAppendedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "old", "older")
	err := l.Rotate(func(write func([]byte) error) error {
		if err := write([]byte("snapshot")); err != nil {
			return err
		}
		appendAll(t, l, "waited for")
		l.Append([]byte("not waited for"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, "after")
	l.Close()
	_, records := open(t, path)
	if want := []string{"snapshot", "waited for", "not waited for", "after"}; !slices.Equal(records, want) {
		t.Errorf("%q", records)
	}
}

func TestAFailedSnapshotChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "old")
	broken := errors.New("no more room")
	if err := l.Rotate(func(func([]byte) error) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	appendAll(t, l, "new")
	l.Close()
	if _, records := open(t, path); !slices.Equal(records, []string{"old", "new"}) {
		t.Errorf("%q", records)
	}
	if _, err := os.Stat(path + newPostfix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file stayed: %v", err)
	}
}

// A disk that was full for a while: nothing is acknowledged until the log is written anew, then all is.
func TestRotateMendsALogThatFailed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "old")
	l.file.Close() // as good as a full disk
	if err := l.Append([]byte("lost"))(); err == nil || l.Failed() == nil {
		t.Fatalf("a write that failed is acknowledged: %v, failed %v", err, l.Failed())
	}
	err := l.Rotate(func(write func([]byte) error) error {
		if err := l.Append([]byte("refused"))(); err == nil {
			t.Error("a write is acknowledged before the fresh log is in place")
		}
		return write([]byte("all"))
	})
	if err != nil || l.Failed() != nil {
		t.Fatalf("%v, failed %v", err, l.Failed())
	}
	appendAll(t, l, "new")
	l.Close()
	if _, records := open(t, path); !slices.Equal(records, []string{"all", "refused", "new"}) {
		t.Errorf("%q", records)
	}
}

// Two processes that write one log would destroy what the other acknowledged.
func TestOneProcessWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "one")
	for _, when := range []string{"opened", "rotated"} {
		if _, err := Open(path, nil); !errors.Is(err, ErrInUse) {
			t.Errorf("%s: %v", when, err)
		}
		if err := l.Rotate(func(write func([]byte) error) error { return write([]byte("all")) }); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if _, records := open(t, path); !slices.Equal(records, []string{"all"}) {
		t.Errorf("%q", records)
	}
}

func TestManyWritersShareTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 20 {
				if err := l.Append(fmt.Appendf(nil, "%d/%d", w, i))(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l.Close()
	_, records := open(t, path)
	slices.Sort(records)
	if records = slices.Compact(records); len(records) != 16*20 {
		t.Errorf("%d records", len(records))
	}
}

func TestAfterCloseNothingIsAcknowledged(t *testing.T) {
	l, _ := open(t, filepath.Join(t.TempDir(), "log"))
	l.Close()
	if err := l.Append([]byte("late"))(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := l.Append(nil)(); err == nil {
		t.Error("an empty record was taken")
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for n, text := range []string{"first", "second"} {
		at := time.Unix(int64(1_000_000+n), 5000)
		if err := Replace(path, at, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if got, _ := os.ReadFile(path); err != nil || string(got) != text || !info.ModTime().Equal(at) || info.Mode().Perm() != filePerm {
			t.Errorf("%q, %v", got, info)
		}
	}
	broken := errors.New("broken")
	if err := Replace(path, time.Now(), func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if names, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(names) != 1 {
		t.Errorf("what failed is left: %v", names)
	}
	if got, _ := os.ReadFile(path); string(got) != "second" {
		t.Errorf("now %q", got)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(append([]byte(magic), appendRecord(nil, []byte("one"))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "log")
		os.WriteFile(path, data, 0o600)
		l, err := Open(path, func([]byte) error { return nil })
		if err == nil {
			l.Close()
		}
	})
}

// Who writes much and waits at the end waits for the disk once, however much it is.
func TestManyRecordsCostOneSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	record := bytes.Repeat([]byte("x"), 1000)
	var wait func() error
	for range 10 * bufferMax / len(record) {
		wait = l.Append(record)
	}
	if l.syncs != 0 || len(l.buffer) > bufferMax+len(record)+headBytes {
		t.Errorf("%d syncs before anybody waits, %d bytes are buffered", l.syncs, len(l.buffer))
	}
	if err := wait(); err != nil || l.syncs != 1 {
		t.Errorf("%d syncs: %v", l.syncs, err)
	}
	_, err := ReadFile(path, func([]byte) error { return nil })
	if info, _ := os.Stat(path); err != nil || info.Size() != l.Size() {
		t.Errorf("%d bytes are in the file, %d in the log: %v", info.Size(), l.Size(), err)
	}
}

// A disk that loses the beginning of a file, or all of it, costs what stood there. It does not keep the rest from being
// read.
func TestADamagedBeginning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	records := []string{"one", strings.Repeat("two", 2000), "three"}
	appendAll(t, l, records...)
	l.Close()
	whole, _ := os.ReadFile(path)
	third := whole[len(whole)-headBytes-len("three"):]
	fill := func(n int, b byte) []byte { return slices.Concat(bytes.Repeat([]byte{b}, n), whole[n:]) }
	for name, c := range map[string]struct {
		file    []byte
		want    []string
		damaged int64
	}{
		"one byte":            {slices.Concat([]byte("stArling"), whole[8:]), records, 15},
		"the first line":      {fill(15, 0), records, 15},
		"a record too":        {fill(20, 0xfe), records[1:], 15 + 8 + 3},
		"a sector":            {fill(512, 0), records[2:], int64(len(whole) - len(third))},
		"more than is sought": {slices.Concat(make([]byte, 3*soughtAtOnce), third), records[2:], 3 * soughtAtOnce},
		"all, zeros":          {make([]byte, 5000), nil, 5000},
		"all, other bytes":    {bytes.Repeat([]byte{0xfe, 0}, 100), nil, 200},
		"a log of nothing":    {[]byte("stArling log 1\n"), nil, 15},
		"cut while made":      {make([]byte, 15), nil, 0},
	} {
		os.WriteFile(path, c.file, 0o600)
		found, err := ReadFile(path, func([]byte) error { return nil })
		if err != nil || found.Records != len(c.want) || found.Damaged != c.damaged {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		l, records := open(t, path)
		if !slices.Equal(records, c.want) || l.Damaged() != c.damaged {
			t.Errorf("%s: %.40q, %d bytes damaged", name, records, l.Damaged())
		}
		if kept, _ := os.ReadFile(path + DamagedPostfix); c.damaged > 0 && !bytes.Equal(kept, c.file) {
			t.Errorf("%s: the log is not kept as it was found", name)
		}
		appendAll(t, l, "after")
		l.Close()
		l, records = open(t, path)
		l.Close()
		if !slices.Equal(records, append(slices.Clone(c.want), "after")) {
			t.Errorf("%s, written again: %.40q", name, records)
		}
	}
}
