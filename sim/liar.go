package sim

import (
	"encoding/binary"
	"strings"

	"starling/cluster/wire"
	"starling/lib/stamp"
	"starling/zone"
)

// liar is a member whose answers to questions are rubbish, late, missing, doubled or about something else, and whose
// acknowledgements do not come or are false. Everything else that it sends is its host's.
type liar struct {
	world    *World
	host     *Host
	isMute   bool  // it answers nothing
	hidesMS  int64 // since when it acknowledges nothing; 0 if it does
	isHonest bool  // from now on
	late     []lateFrame
}

type lateFrame struct {
	link  *link
	to    *end
	dueMS int64
	bytes []byte
}

const (
	// lateByMS is by how much a late answer misses the time for which a request waits.
	lateByMS = askMS + 1
	// lieAboutAcks is one in how many acknowledgements is false: it ends the connection.
	lieAboutAcks = 100
	// guesses is how many questions it answers before they are put, once in as many steps.
	guesses = 4
	// checksumBytes are at the end of each frame.
	checksumBytes = wire.MinFrameBytes - 2
)

// change begins another way to harm.
func (l *liar) change() {
	if l.isMute = l.world.rand.IntN(3) == 0; l.hidesMS == 0 {
		l.hidesMS = l.world.nowMS
	} else {
		l.hidesMS = 0
	}
	l.world.did("host%d answers nothing: %v, acknowledges nothing: %v", l.host.index, l.isMute, l.hidesMS != 0)
}

// hidesSince reports whether it has acknowledged nothing since a moment.
func (l *liar) hidesSince(ms int64) bool { return l.hidesMS != 0 && l.hidesMS <= ms }

// repent ends all lies.
func (l *liar) repent() { l.isMute, l.hidesMS, l.isHonest = false, 0, true }

// relay returns what the host sends instead of some bytes, which are whole frames.
func (l *liar) relay(to *link, e *end, sent []byte) (out []byte) {
	if l.isHonest || e.host != l.host {
		return sent
	}
	if text := string(sent[:min(len(sent), len(wire.Preamble))]); strings.HasPrefix(text, wire.Preamble) {
		out, sent = append(out, text...), sent[len(text):]
	}
	for len(sent) > 0 {
		size, n := binary.Uvarint(sent)
		if n <= 0 || uint64(len(sent)-n) < size {
			l.world.failf("host %d does not send whole frames", l.host.index)
			return append(out, sent...)
		}
		frame := sent[:n+int(size)]
		sent = sent[len(frame):]
		body := frame[n+1 : len(frame)-checksumBytes]
		switch wire.Type(frame[n]) {
		case wire.TypeAnswer:
			out = l.answer(out, to, e, frame, body)
		case wire.TypeAck:
			out = l.acknowledge(out, frame, body)
		default:
			out = append(out, frame...)
		}
	}
	return out
}

// answer appends what it sends instead of an answer.
func (l *liar) answer(out []byte, to *link, e *end, frame, body []byte) []byte {
	w, h := l.world, l.host
	a, err := wire.ParseAnswer(body)
	if err != nil {
		w.failf("host %d answers: %v", h.index, err)
		return out
	}
	to.answered = max(to.answered, a.Number)
	say := func(number, zone uint64, payload []byte) []byte {
		to.spokeMS = w.nowMS
		return wire.AppendFrame(out, wire.TypeAnswer, wire.AppendAnswerHead(nil, number, zone), payload)
	}
	n := w.rand.IntN(14)
	w.did("host%d gives a false answer of kind %d, or none if it is mute", h.index, n)
	switch {
	case l.isMute || n == 0:
		return out
	case n == 1:
		frame = append([]byte(nil), frame...)
		l.late = append(l.late, lateFrame{to, other(to, e), w.nowMS + lateByMS + int64(w.rand.IntN(30)), frame})
		return out
	case n == 2:
		out = say(a.Number, a.Zone, a.Payload)
		return say(a.Number, a.Zone, a.Payload)
	case n == 3:
		return say(a.Number+1+w.rand.Uint64()%3, a.Zone, a.Payload)
	case n == 4:
		return say(a.Number, a.Zone, l.aboutAnother(nil))
	case n == 5:
		return say(a.Number, a.Zone, l.clear())
	case n == 6:
		return say(a.Number, a.Zone, []byte{byte(w.rand.IntN(4)), byte(w.rand.IntN(256)), 0, 7})
	case n == 7:
		return say(a.Number, (a.Zone+1)%3, a.Payload)
	case n < 10:
		return say(a.Number, a.Zone, nil)
	}
	to.spokeMS = w.nowMS
	return append(out, frame...)
}

func other(l *link, e *end) *end {
	if l.ends[0] == e {
		return l.ends[1]
	}
	return l.ends[0]
}

// aboutAnother appends the record of another session than the one that was asked for.
func (l *liar) aboutAnother(dst []byte) []byte {
	recent := l.world.asking.recent
	for len(recent) > 0 && len(dst) == 0 {
		at := l.world.rand.IntN(len(recent))
		dst = l.host.session.AppendRecord(dst, []byte(recent[at]), l.host.clusterNow())
		recent = recent[at+1:]
	}
	return dst
}

// clear is a payload that clears a shard.
func (l *liar) clear() []byte {
	now := l.host.clusterNow()
	e := l.host.session.NewEncoder()
	payload := append(e.Begin(nil, now), byte(l.world.rand.IntN(zone.Shards)))
	return append(e.AppendClear(payload, stamp.At(now.WallMS, 0)), zone.GroupEnd)
}

// acknowledge appends what it sends instead of an acknowledgement.
func (l *liar) acknowledge(out, frame, body []byte) []byte {
	switch {
	case l.hidesMS != 0:
		return out
	case l.world.rand.IntN(lieAboutAcks) > 0:
		return append(out, frame...)
	}
	var acks []byte
	if err := wire.ParseAcks(body, func(a wire.Ack) {
		acks = wire.AppendAck(acks, wire.Ack{Zone: a.Zone, Sequence: a.Sequence + 1 + l.world.rand.Uint64()%1000})
	}); err != nil {
		l.world.failf("host %d acknowledges: %v", l.host.index, err)
	}
	return wire.AppendFrame(out, wire.TypeAck, acks, nil)
}

// deliver sends the late answers that are due.
func (l *liar) deliver() {
	w := l.world
	still := l.late[:0]
	for _, late := range l.late {
		switch {
		case w.nowMS < late.dueMS:
			still = append(still, late)
		case !late.to.closed && !late.to.eof:
			late.to.inbox = append(late.to.inbox, piece{w.nowMS, late.bytes})
			late.to.queued += len(late.bytes)
			late.link.spokeMS = w.nowMS
		}
	}
	l.late = still
	if !l.isMute && !l.isHonest && w.rand.IntN(guesses) == 0 {
		l.guess()
	}
}

// guess answers questions before they are put: their numbers are in order.
func (l *liar) guess() {
	for _, to := range l.world.links {
		e := to.ends[1]
		if to.from != l.host.index || to.ends[0].closed || e.closed || e.eof {
			continue
		}
		var frames []byte
		for i := range uint64(guesses) {
			frames = wire.AppendFrame(frames, wire.TypeAnswer, wire.AppendAnswerHead(nil, to.answered+1+i, 0), nil)
		}
		e.inbox = append(e.inbox, piece{l.world.nowMS, frames})
		e.queued += len(frames)
		to.spokeMS = l.world.nowMS
	}
}
