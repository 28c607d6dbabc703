package kinds

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// onDisk is a keeper whose disk takes no time.
func onDisk(keep func(record []byte)) func([]byte) (func() error, error) {
	return func(record []byte) (func() error, error) {
		keep(record)
		return func() error { return nil }, nil
	}
}

// Of a batch everything is with the keeper when its end is waited for, once.
func TestABatchWaitsOnce(t *testing.T) {
	const pairs = 5000
	k := newTestKeyval(0)
	var log [][]byte
	waits := 0
	k.OnCommit(func(record []byte) (func() error, error) {
		log = append(log, slices.Clone(record))
		return func() error { waits++; return nil }, nil
	}, nil)
	b := k.Batch(at(0))
	for i := range pairs {
		if err := b.Add(fmt.Appendf(nil, "key %d", i), []byte("value"), NoExpire); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add([]byte("key 7"), nil, NoExpire); !errors.Is(err, ErrExists) {
		t.Errorf("a key is added twice: %v", err)
	}
	if err := b.Delete([]byte("key 9")); err != nil {
		t.Fatal(err)
	}
	if waits != 0 {
		t.Errorf("waited %d times before the end", waits)
	}
	if err := b.Commit(); err != nil || waits != 1 {
		t.Fatalf("waited %d times: %v", waits, err)
	}
	back := newTestKeyval(0)
	for _, record := range log {
		if len(record) > batchPieceBytes+100 {
			t.Errorf("a record has %d bytes", len(record))
		}
		if err := back.Restore(record, new(Restored), at(1)); err != nil {
			t.Fatal(err)
		}
	}
	if back.Len() != pairs-1 {
		t.Errorf("%d pairs are back", back.Len())
	}
	mustAgree(t, k, back)
	mustLack(t, back, "key 9", 1)
}

// A keeper that took one record and not another must not make the batch look kept.
func TestABatchTellsWhatWasNotTaken(t *testing.T) {
	k := newTestKeyval(0)
	refused, given := errors.New("not open"), 0
	k.OnCommit(func([]byte) (func() error, error) {
		if given++; given == 1 {
			return nil, refused
		}
		return func() error { return nil }, nil
	}, nil)
	b := k.Batch(at(0))
	for i := range 1000 {
		if err := b.Add(fmt.Appendf(nil, "key %d", i), []byte("value"), NoExpire); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(); !errors.Is(err, refused) || given < 2 {
		t.Errorf("after %d records: %v", given, err)
	}
}
