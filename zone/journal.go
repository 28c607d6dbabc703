package zone

import "sync"

// Journal is the ring of local changes, in frames that are encoded once for all peers. Each peer has a cursor, a
// sequence; if the ring overruns it, the peer is taught instead.
type Journal struct {
	mu      sync.Mutex
	ring    []frame
	next    uint64 // sequence of the next frame
	oldest  uint64 // sequence of the oldest frame kept
	records int64  // records ever appended
}

type frame struct {
	payload       []byte
	records       int
	recordsBefore int64
	flushedMonoMS int64
}

// FirstSequence is the sequence of the first frame; zero means "nothing yet".
const FirstSequence uint64 = 1

// MaxFrames is the longest ring: enough for the 100 MB that a mesh of hundreds of nodes may want to keep. A peer
// further behind than this is told that frames are lost.
const MaxFrames = 65536

// MaxSequence is more than any journal reaches: a million frames a second for nine years.
const MaxSequence = 1 << 48

// The bounds of the ring; nginx's default is 8 frames.
const (
	defaultFrames     = 8
	defaultFrameBytes = 8192
	minFrameBytes     = 256
)

// resize changes the number of frames kept; the newest ones stay.
func (j *Journal) resize(frames int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ring := make([]frame, min(max(frames, 1), MaxFrames))
	if j.next == 0 {
		j.next, j.oldest = FirstSequence, FirstSequence
	}
	kept := uint64(len(ring))
	if j.next > j.oldest+kept {
		j.oldest = j.next - kept
	}
	for sequence := j.oldest; sequence < j.next; sequence++ {
		ring[sequence%kept] = j.ring[sequence%uint64(len(j.ring))]
	}
	j.ring = ring
}

// restart begins the journal anew, with the first sequence.
func (j *Journal) restart() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.ring)
	j.next, j.oldest, j.records = FirstSequence, FirstSequence, 0
}

// append adds a frame and returns its sequence. The payload must not change afterwards.
func (j *Journal) append(payload []byte, records int, monoMS int64) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	sequence := j.next
	j.ring[sequence%uint64(len(j.ring))] = frame{payload, records, j.records, monoMS}
	j.records += int64(records)
	j.next++
	if kept := uint64(len(j.ring)); j.next > j.oldest+kept {
		j.oldest = j.next - kept
	}
	return sequence
}

// Head is the sequence that the next frame will get.
func (j *Journal) Head() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Tail is the oldest sequence still kept; it equals Head when there is none.
func (j *Journal) Tail() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.oldest
}

// Frame returns a frame that is still kept. The payload is never modified and can be used without limit. flushedMonoMS
// is the time of its flush; the wire carries its age.
func (j *Journal) Frame(sequence uint64) (payload []byte, records int, flushedMonoMS int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sequence < j.oldest || sequence >= j.next {
		return nil, 0, 0, false
	}
	f := &j.ring[sequence%uint64(len(j.ring))]
	return f.payload, f.records, f.flushedMonoMS, true
}

// RecordsThrough counts the records ever appended, through a frame; ok is false if that is no longer kept.
func (j *Journal) RecordsThrough(sequence uint64) (records int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sequence < j.oldest || sequence >= j.next {
		return 0, false
	}
	f := &j.ring[sequence%uint64(len(j.ring))]
	return f.recordsBefore + int64(f.records), true
}

// RecordsAfter counts the records in frames above sequence: those that a peer at that sequence lacks. For a sequence
// that is no longer kept, it counts what is kept.
func (j *Journal) RecordsAfter(sequence uint64) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(sequence+1, j.oldest)
	if first >= j.next {
		return 0
	}
	return j.records - j.ring[first%uint64(len(j.ring))].recordsBefore
}
