package kinds

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"starling/lib/clock"
	"starling/zone"
)

// This file is the persistent state of a keyval zone: the JSON object that nginx keeps, for people and for starting
// from nginx's, and the records of a log that has what JSON lacks: stamps, tombstones, clears. lib/durable handles the
// files.

// statePair is a pair of the JSON object that expires; a pair that does not is a plain string.
type statePair struct {
	Value    string `json:"value"`
	ExpireMS int64  `json:"expire"`
}

const (
	// sortedPairs is the number of pairs up to which the JSON object is sorted by key, for people to read and compare.
	// Sorting millions would take seconds and a copy of all.
	sortedPairs = 10_000
	// stateWriteBytes is the size of one write.
	stateWriteBytes = 64 << 10
)

// WriteState writes the zone as the JSON object of a state file: {"key":"value"}, and {"key":{"value":"…","expire":ms}}
// for pairs that expire, in that many milliseconds from now. It needs little memory whatever the size of the zone.
func (k *Keyval) WriteState(w io.Writer, now clock.Reading) error {
	pairs := k.Visit(now)
	if k.Len() <= sortedPairs {
		sorted := slices.Collect(k.All(now))
		slices.SortFunc(sorted, func(a, b Pair) int { return bytes.Compare(a.Key, b.Key) })
		pairs = slices.Values(sorted)
	}
	out := append(make([]byte, 0, stateWriteBytes), '{')
	comma := ""
	for pair := range pairs {
		out = AppendQuoted(append(append(out, comma...), '\n'), pair.Key)
		out = append(out, ':')
		if pair.LeftMS == 0 {
			out = AppendQuoted(out, pair.Value)
		} else {
			out = AppendQuoted(append(out, `{"value":`...), pair.Value)
			out = strconv.AppendInt(append(out, `,"expire":`...), pair.LeftMS, 10)
			out = append(out, '}')
		}
		comma = ","
		if len(out) >= stateWriteBytes {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	_, err := w.Write(append(out, '\n', '}', '\n'))
	return err
}

// AppendQuoted appends text as a JSON string. Bytes that are not UTF-8 become U+FFFD, as in encoding/json.
func AppendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for plain := 0; ; {
		at := plain
		for at < len(text) && text[at] >= ' ' && text[at] < utf8.RuneSelf && text[at] != '"' && text[at] != '\\' {
			at++
		}
		dst = append(dst, text[plain:at]...)
		if at == len(text) {
			return append(dst, '"')
		}
		r, size := utf8.DecodeRune(text[at:])
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n' || r == '\r' || r == '\t':
			dst = append(dst, '\\', "tn..r"[r-'\t'])
		case r < ' ' || r == '\u2028' || r == '\u2029' || r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, text[at:at+size]...)
		}
		plain = at + size
	}
}

// LoadState reads the JSON object of a state file that has no log. Its pairs get stamp zero: anything newer, here or on
// a peer, wins over them. It fails on the first pair that is invalid or has no room.
func (k *Keyval) LoadState(data []byte, now clock.Reading) error {
	var pairs map[string]json.RawMessage
	if err := json.Unmarshal(data, &pairs); err != nil {
		return fmt.Errorf("state is not a JSON object: %w", err)
	}
	for name, raw := range pairs {
		if err := k.loadOne(name, raw, 0, now); err != nil {
			return fmt.Errorf("state of key %q: %w", name, err)
		}
	}
	return nil
}

// SalvageState reads the JSON object of a state file whose log, already restored, is damaged. The log wins, also for
// deletions and clears, but a clear only over pairs that were not in the file when it was saved later. If the file is
// damaged too, the pairs before the damage are used. Pairs that are invalid or have no room are skipped; the error
// names one of them.
func (k *Keyval) SalvageState(data []byte, savedMS int64, now clock.Reading) error {
	var failed error
	err := eachPair(data, func(name string, raw json.RawMessage) {
		if err := k.loadOne(name, raw, savedMS, now); err != nil {
			failed = fmt.Errorf("state of key %q: %w", name, err)
		}
	})
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("state is not a JSON object: it ends early")
	case err != nil:
		return fmt.Errorf("state is not a JSON object: %w", err)
	}
	return failed
}

// eachPair reads a JSON object up to the first error.
func eachPair(data []byte, yield func(name string, raw json.RawMessage)) error {
	in := json.NewDecoder(bytes.NewReader(data))
	if begin, err := in.Token(); err != nil {
		return err
	} else if begin != json.Delim('{') {
		return errNoObject
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := in.Decode(&raw); err != nil {
			return err
		}
		yield(name.(string), raw) // an object has no other names, or Token fails
	}
	_, err := in.Token()
	return err
}

var (
	errNoObject  = errors.New("it does not begin with '{'")
	errPairShape = errors.New(`the value is neither a string nor {"value":"…","expire":milliseconds}`)
)

// loadOne adds a pair that is older than anything, except a clear of its shard before savedMS.
func (k *Keyval) loadOne(name string, raw json.RawMessage, savedMS int64, now clock.Reading) error {
	var pair statePair
	if err := json.Unmarshal(raw, &pair.Value); err != nil {
		if err := json.Unmarshal(raw, &pair); err != nil {
			return errPairShape
		}
	}
	if pair.ExpireMS < 0 || pair.ExpireMS > math.MaxInt32*1000 {
		return fmt.Errorf("expire %d ms is out of range", pair.ExpireMS)
	}
	key, err := k.canonical([]byte(name))
	if err != nil {
		return err
	}
	if len(pair.Value) > k.maxValue {
		return ErrTooLong
	}
	w := write{value: []byte(pair.Value)}
	if life := pair.ExpireMS; life > 0 {
		w.endMS = now.MonoMS + life
	} else if life = k.timeoutMS.Load(); life > 0 {
		w.endMS = now.MonoMS + life
	}
	hash := zone.KeyHash(key)
	sh := k.store.Shard(hash)
	sh.Lock()
	defer sh.Unlock()
	if cleared := sh.Clear(); cleared != 0 && cleared.MS() < savedMS {
		w.stamp = cleared + 1
	}
	if did, _ := k.put(sh, hash, key, &w, room{bytes: k.LocalLimit()}, now); did == refused {
		return ErrFull
	}
	return nil
}

// snapshotPieceBytes keeps a shard's lock short and a log record small.
const snapshotPieceBytes = 64 << 10

// Snapshot writes the whole zone as records for the start of a new log; Restore reads them back. Now is a reading of
// the machine's own clocks, not of cluster time: so is that of Restore.
func (k *Keyval) Snapshot(now clock.Reading, write func(record []byte) error) error {
	if err := write(ClockRecord(now)); err != nil {
		return err
	}
	lineage := k.Lineage()
	if mark := k.gaveUpRecord(lineage); mark != nil {
		if err := write(mark); err != nil {
			return err
		}
	}
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
	stateNode        byte = 16
	stateAgreed      byte = 17 // see agreedRecord and ofNobody
	stateReissued    byte = 18 // see appendAhead; of releases before
	stateClock       byte = 19 // varint: the machine's wall clock less its monotonic one, from here on
	stateAgreedUntil byte = 21
	stateTakenBack   byte = 22 // from when on the clock was ahead | see appendAhead
	stateFrom        byte = 20 // varint: how far this node's monotonic clock is ahead of the sender's | payload
)

// NodeRecord is the log record of the node's id, which stays the same over restarts.
func NodeRecord(id uint64) []byte { return binary.LittleEndian.AppendUint64([]byte{stateNode}, id) }

// ClockRecord is the log record of how far the machine's wall clock is ahead of the monotonic one. The ends in the
// records after it are on the monotonic clock of that process. When they are read, the wall clock, which outlives the
// process, converts them to the next one's.
func ClockRecord(local clock.Reading) []byte {
	return binary.AppendVarint([]byte{stateClock}, local.WallMS-local.MonoMS)
}

// Restored is the content of a state log besides the zone's records.
type Restored struct {
	Node uint64
	// AheadMS is the value of the last ClockRecord, 0 before any: the monotonic clock starts at the wall clock.
	AheadMS int64
}

// Restore merges one record of a state log into the zone and notes the rest in found. Own stamps are not checked
// against the clock, which may have been set back. A whole log can be read again over itself; the order matters only
// for restamped records.
func (k *Keyval) Restore(record []byte, found *Restored, now clock.Reading) error {
	r := zone.Read(record)
	switch r.Byte() {
	case stateNode:
		found.Node = r.Uint64()
	case stateAgreed:
		k.restoreAgreed(&r)
	case stateAgreedUntil:
		k.restoreAgreedUntil(&r)
	case stateReissued:
		k.clock.Retreat(now.WallMS) // it has seen the stamps that these replaced
		k.restamp(&r, math.MaxInt64, false)
	case stateTakenBack:
		sinceMS := int64(r.Uint64())
		k.clock.Retreat(now.WallMS)
		k.restamp(&r, sinceMS, false)
	case stateClock:
		found.AheadMS = r.Varint()
	case stateFrom:
		senderMS := now.WallMS - found.AheadMS - r.Varint()
		if !r.Failed() {
			return k.restoreRecords(r.Rest(), senderMS, now)
		}
	default:
		return k.restoreRecords(record, now.WallMS-found.AheadMS, now)
	}
	if r.Failed() {
		return k.malformed()
	}
	return nil
}

// restoreRecords merges records whose ends are on a clock that shows senderMS now.
func (k *Keyval) restoreRecords(record []byte, senderMS int64, now clock.Reading) error {
	now.SenderMS = max(senderMS, 1)
	applied, err := k.merge(record, room{bytes: k.store.Limit(), whole: true, restored: true}, math.MaxUint64, now)
	switch {
	case err == nil && applied.Refused > 0:
		err = fmt.Errorf("zone %q: %w: the state does not fit", k.Info().Name, ErrFull)
	case err == nil && applied.Invalid > 0:
		err = fmt.Errorf("zone %q: the state has %d invalid records, the first of them is of %w", k.Info().Name,
			applied.Invalid, applied.Fault)
	}
	return err
}
