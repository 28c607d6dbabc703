package turns

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"starling/zone"
)

// Verdict is what a node makes of the probes of a server.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // nothing was decided yet
	Healthy
	Unhealthy
)

// Word is what a node tells the others of one check of one server, after each of its probes.
type Word struct {
	Verdict Verdict
	// Passes and Fails are the numbers of consecutive probes; one of them is 0.
	Passes, Fails uint32
	// Number counts the probes that the node has made of the server, Failed those that failed; TookMS is how long the
	// last one took, and AtMS when it ended, in cluster time.
	Number uint64
	Failed uint64
	TookMS int64
	AtMS   int64
	// NextMS is the pause until the next one begins, if the node stays the prober.
	NextMS int64
	// Failures counts how often failures of its own clients made the server unavailable: a hint to the prober.
	Failures uint64
	// Doubts means that the node does not follow the prober: it sees otherwise.
	Doubts bool
	// Reason is why the last probe failed; empty if it passed.
	Reason string
}

// Limits of a Word that a peer sends.
const (
	maxReasonBytes = 256
	maxNumber      = 1 << 48
)

const (
	wordFormat     byte = 1
	presenceFormat byte = 2
)

// errMalformed is the error for bytes that no correct peer sends.
var errMalformed = errors.New("malformed finding of a health check")

// Append encodes a word.
func (w *Word) Append(dst []byte) []byte {
	state := byte(w.Verdict)
	if w.Doubts {
		state |= 4
	}
	dst = append(dst, wordFormat, state)
	for _, n := range w.numbers() {
		dst = binary.AppendUvarint(dst, n)
	}
	return append(dst, Shown(w.Reason, maxReasonBytes)...)
}

func (w *Word) numbers() [8]uint64 {
	return [...]uint64{
		uint64(w.Passes), uint64(w.Fails), w.Number, uint64(w.TookMS), uint64(w.AtMS), uint64(w.NextMS), w.Failures,
		w.Failed,
	}
}

// ParseWord reads a word.
func ParseWord(b []byte) (w Word, err error) {
	r := zone.Read(b)
	format, state := r.Byte(), r.Byte()
	var n [8]uint64
	for i := range n {
		n[i] = r.Uvarint()
		if n[i] >= maxNumber || i < 2 && n[i] >= 1<<32 {
			r.Fail()
		}
	}
	w = Word{
		Verdict: Verdict(state & 3), Doubts: state&4 != 0, Passes: uint32(n[0]), Fails: uint32(n[1]), Number: n[2],
		TookMS: int64(n[3]), AtMS: int64(n[4]), NextMS: int64(n[5]), Failures: n[6],
		Failed: n[7], Reason: string(r.Rest()),
	}
	if r.Failed() || format != wordFormat || w.Verdict > Unhealthy || state > 7 || !isShown(w.Reason, maxReasonBytes) {
		return Word{}, errMalformed
	}
	return w, nil
}

// Presence tells that a node has a check, and how operators know the node.
type Presence struct{ Node, Host string }

// Limits of names that a peer sends: an id of a node has 16 bytes.
const (
	maxNodeBytes = 64
	maxHostBytes = 255
)

// Append encodes a presence.
func (p Presence) Append(dst []byte) []byte {
	node := Shown(p.Node, maxNodeBytes)
	dst = append(dst, presenceFormat, byte(len(node)))
	return append(append(dst, node...), Shown(p.Host, maxHostBytes)...)
}

// ParsePresence reads a presence.
func ParsePresence(b []byte) (p Presence, err error) {
	r := zone.Read(b)
	format := r.Byte()
	p.Node = string(r.Bytes(uint64(r.Byte())))
	p.Host = string(r.Rest())
	if r.Failed() || format != presenceFormat || !isShown(p.Node, maxNodeBytes) || !isShown(p.Host, maxHostBytes) {
		return Presence{}, errMalformed
	}
	return p, nil
}

// Shown is a text as far as it can be shown to an operator: at most so many bytes, without control characters.
func Shown(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

func isShown(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, isControl)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
