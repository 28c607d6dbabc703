package zone

import "sync"

// Journal is the ring of what changed here, in frames that are encoded once for all peers.
// Peers keep their own cursor, a sequence; one that the ring ran past is taught instead.
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

// FirstSequence is the sequence of the first frame; zero stands for "nothing yet".
const FirstSequence uint64 = 1

// MaxFrames is the longest ring: enough for the 100 MB a mesh of hundreds may want to keep. Nobody is further behind an
// origin than that without being told that frames are lost.
const MaxFrames = 65536

// MaxSequence is beyond what any journal reaches: a million frames a second for nine years.
const MaxSequence = 1 << 48

// The ring's bounds: nginx's default of 8 frames.
const (
	defaultFrames     = 8
	defaultFrameBytes = 8192
	minFrameBytes     = 256
)

// resize changes how many frames are kept; the newest ones stay.
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

// append adds a frame and returns its sequence. The payload must never change afterwards.
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

// Frame returns a frame that is still kept. The payload is never written again and may be used as long as one likes.
// flushedMonoMS is when it was flushed; its age goes with it on the wire.
func (j *Journal) Frame(sequence uint64) (payload []byte, records int, flushedMonoMS int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sequence < j.oldest || sequence >= j.next {
		return nil, 0, 0, false
	}
	f := &j.ring[sequence%uint64(len(j.ring))]
	return f.payload, f.records, f.flushedMonoMS, true
}

// RecordsAfter counts the records in frames above sequence, what a peer that has seen it still has to get.
// For a sequence that is no longer kept it counts what is kept.
func (j *Journal) RecordsAfter(sequence uint64) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(sequence+1, j.oldest)
	if first >= j.next {
		return 0
	}
	return j.records - j.ring[first%uint64(len(j.ring))].recordsBefore
}
