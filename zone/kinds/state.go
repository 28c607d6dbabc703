package kinds

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"starling/lib/clock"
	"starling/zone"
)

// This file is the state of a keyval zone that outlives the process: the JSON object that nginx keeps, for people
// and for starting from nginx's, and the records of a log that has what JSON lacks: stamps, tombstones, clears.
// lib/durable does the work on files.

// statePair is a pair of the JSON object that expires; one that does not is a plain string.
type statePair struct {
	Value    string `json:"value"`
	ExpireMS int64  `json:"expire"`
}

// MarshalState returns the zone as the JSON object of a state file, in the order of keys: {"key":"value"}, and
// {"key":{"value":"…","expire":ms}} for pairs that expire, in that many milliseconds from now.
func (k *Keyval) MarshalState(now clock.Reading) ([]byte, error) {
	pairs := slices.Collect(k.All(now))
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(string(a.Key), string(b.Key)) })
	out := []byte{'{'}
	for i, pair := range pairs {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(string(pair.Key))
		if err != nil {
			return nil, err
		}
		var value any = string(pair.Value)
		if pair.ExpiryMS != 0 {
			value = statePair{string(pair.Value), pair.ExpiryMS - now.WallMS}
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(append(out, '\n'), key...), ':'), text...)
	}
	return append(out, '\n', '}', '\n'), nil
}

// LoadState reads the JSON object of a state file that has no log beside it. Its pairs get stamp zero: anything newer,
// here or on a peer, wins over them. It fails on the first pair that is wrong or has no room.
func (k *Keyval) LoadState(data []byte, now clock.Reading) error {
	var pairs map[string]json.RawMessage
	if err := json.Unmarshal(data, &pairs); err != nil {
		return fmt.Errorf("state is not a JSON object of pairs: %w", err)
	}
	for name, raw := range pairs {
		var pair statePair
		if err := json.Unmarshal(raw, &pair.Value); err != nil {
			if err := json.Unmarshal(raw, &pair); err != nil {
				return fmt.Errorf("state of key %q: %w", name, err)
			}
		}
		if pair.ExpireMS < 0 || pair.ExpireMS > math.MaxInt32*1000 {
			return fmt.Errorf("state of key %q: expire %d ms is out of range", name, pair.ExpireMS)
		}
		if err := k.load(name, &pair, now); err != nil {
			return fmt.Errorf("state of key %q: %w", name, err)
		}
	}
	return nil
}

func (k *Keyval) load(name string, pair *statePair, now clock.Reading) error {
	key, err := k.canonical([]byte(name))
	if err != nil {
		return err
	}
	if len(pair.Value) > MaxValueBytes {
		return ErrTooLong
	}
	w := write{value: []byte(pair.Value)}
	if life := pair.ExpireMS; life > 0 {
		w.expiryMS = now.WallMS + life
	} else if life = k.timeoutMS.Load(); life > 0 {
		w.expiryMS = now.WallMS + life
	}
	hash := zone.KeyHash(key)
	sh := k.store.Shard(hash)
	sh.Lock()
	defer sh.Unlock()
	if did, _ := k.put(sh, hash, key, &w, room{bytes: k.store.Limit() / 8 * 7}, now); did == refused {
		return ErrFull
	}
	return nil
}

// snapshotPieceBytes keeps a shard's lock short and a log record small.
const snapshotPieceBytes = 64 << 10

// Snapshot gives the whole zone to write as records for the start of a fresh log; Restore reads them back.
func (k *Keyval) Snapshot(now clock.Reading, write func(record []byte) error) error {
	lineage := k.Lineage()
	for _, a := range k.Agreed() {
		if err := write(agreedRecord(lineage, a)); err != nil {
			return err
		}
	}
	var buf []byte
	for shard := range zone.Shards {
		for cursor, done := uint64(0), false; !done; {
			buf, cursor, done = k.TeachShard(shard, cursor, buf[:0], snapshotPieceBytes, now)
			if len(buf) > 0 {
				if err := write(buf); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Kinds of records in a state log. Changes begin with registerFormat.
const (
	stateNode     byte = 16
	stateAgreed   byte = 17
	stateReissued byte = 18 // see appendAhead
)

// NodeRecord is the log record of the node's id, which stays the same over restarts.
func NodeRecord(id uint64) []byte { return binary.LittleEndian.AppendUint64([]byte{stateNode}, id) }

// Restored is what a state log holds beside the zone's records.
type Restored struct {
	Node uint64
}

// Restore merges one record of a state log into the zone and notes the rest in found. Own stamps are not held against the clock, which
// may have been set back. A whole log may be read again over itself; the order matters only to what was stamped anew.
func (k *Keyval) Restore(record []byte, found *Restored, now clock.Reading) error {
	r := zone.Read(record)
	switch r.Byte() {
	case stateNode:
		found.Node = r.Uint64()
	case stateAgreed:
		k.restoreAgreed(&r)
	case stateReissued:
		k.clock.Retreat(now.WallMS) // it has seen the stamps that these replaced
		k.restamp(&r, false, now)
	default:
		applied, err := k.merge(record, room{bytes: k.store.Limit(), whole: true}, math.MaxUint64, now)
		if err == nil && applied.Refused > 0 {
			err = fmt.Errorf("zone %q: %w: the state does not fit", k.Info().Name, ErrFull)
		}
		return err
	}
	if r.Failed() {
		return fmt.Errorf("zone %q: %w", k.Info().Name, zone.ErrMalformed)
	}
	return nil
}
