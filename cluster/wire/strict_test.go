package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"starling/cluster/strict"
)

// wholeStrict is a message of the core in one frame.
type wholeStrict struct {
	Envelope Strict
	Message  strict.Message
}

// Append is for FuzzMessages.
func (w wholeStrict) Append(dst []byte) []byte {
	return AppendStrictMessage(w.Envelope.Append(dst), &w.Message)
}

func parseWholeStrict(body []byte) (any, error) {
	envelope, err := ParseStrict(body)
	if err != nil {
		return nil, err
	}
	m, err := ParseStrictMessage(envelope.Part)
	envelope.Part = nil
	return wholeStrict{envelope, m}, err
}

// strictExamples has one message of each kind.
func strictExamples() (list []message) {
	piece := strict.Piece{Capacity: 5 * strict.Request, Rate: 99_999, Level: 1}
	for _, m := range []struct {
		name string
		strict.Message
	}{
		{"ping", strict.Message{
			Kind: strict.Ping, Incarnation: 0x0102030405060708, SentUS: 5_000_000, State: strict.PingState{
				Hears: 7, Silent: 8, Promised: true, UpSession: 300, DownSession: 1, UpSent: 301, DownSent: 2,
			},
		}},
		{"ping-secret", strict.Message{Kind: strict.Ping, Secret: strict.Proof{1, 15: 16}}},
		{"pong", strict.Message{Kind: strict.Pong, Incarnation: 0x0102030405060708, SentUS: 5_000_000}},
		{"exclude", strict.Message{Kind: strict.Exclude, Excluded: []strict.Member{
			{Seat: 2, Incarnation: 9, Birth: 300}, {Seat: 5, Incarnation: 10, Birth: 1},
		}}},
		{"consent", strict.Message{Kind: strict.Consent}},
		{"resync", strict.Message{Kind: strict.Resync, Session: 300}},
		{"claim", strict.Message{
			Kind: strict.Claim, Session: 300, Sequence: 1, Armed: true, Holdings: []strict.Holding{
				{Key: "192.0.2.1", Piece: piece, DemandNano: 12}, {Key: "pool", Piece: piece, Pool: true},
			},
		}},
		{"ask", strict.Message{
			Kind: strict.Ask, Session: 300, Sequence: 2, Key: "192.0.2.1", AskID: 400, NeedRequests: 3, WindowUS: 4500,
			DemandNano: 1_000_000_000,
		}},
		{"grant", strict.Message{
			Kind: strict.Grant, Session: 300, Sequence: 3, Key: "192.0.2.1", Piece: piece, AskID: 400, Tokens: 2, HoldUS: 700,
			Flags: strict.Listed | strict.Pending,
		}},
		{"ask-sealed", strict.Message{Kind: strict.Ask, Session: 300, Sequence: 2, Key: "192.0.2.1", Seal: strict.Proof{1, 15: 16}}},
		{"recall", strict.Message{
			Kind: strict.Recall, Session: 300, Sequence: 4, Key: "192.0.2.1", Keep: 5 * strict.Request, Flags: strict.Central,
		}},
		{"return", strict.Message{
			Kind: strict.Return, Session: 300, Sequence: 5, Key: "192.0.2.1", Piece: piece, DemandNano: 12, Flags: strict.Silent,
		}},
		{"ask-slots", strict.Message{
			Kind: strict.AskSlots, Session: 300, Sequence: 6, Key: "192.0.2.1", AskID: 401, Slots: 3, Limit: 1000,
		}},
		{"grant-slots", strict.Message{
			Kind: strict.GrantSlots, Session: 300, Sequence: 7, Key: "192.0.2.1", AskID: 401, Slots: 4, Limit: 900, HoldUS: 700,
		}},
		{"recall-slots", strict.Message{Kind: strict.RecallSlots, Session: 300, Sequence: 8, Key: "192.0.2.1"}},
		{"return-slots", strict.Message{
			Kind: strict.ReturnSlots, Session: 300, Sequence: 9, Key: "192.0.2.1", Slots: 2, Limit: 1000,
		}},
	} {
		m.View = 1000
		whole := wholeStrict{Strict{List: 0xfeedface, Zone: 0x0123456789abcdef, From: 1, To: 2}, m.Message}
		list = append(list, message{"strict-" + m.name, TypeStrict, whole.Append(nil), whole, parseWholeStrict})
	}
	letter := Register{List: 0xfeedface, From: 1, To: 2, Letter: []byte("letter")}
	return append(list, message{"register", TypeRegister, letter.Append(nil), letter, parser(ParseRegister)})
}

// A claim of many keys is cut into frames that stay below the limit, and is put together again.
func TestLongStrictMessagesAreCut(t *testing.T) {
	m := strict.Message{Kind: strict.Claim, View: 3, Session: 1, Sequence: 1}
	for i := range 20_000 {
		m.Holdings = append(m.Holdings, strict.Holding{
			Key: strings.Repeat("k", i%strict.KeyBytesMost+1), Piece: strict.Piece{Capacity: int64(i)},
		})
	}
	stream := AppendStrictFrames([]byte(Preamble), Strict{List: 1, Zone: 2, From: 3, To: 4}, AppendStrictMessage(nil, &m))
	d := NewDecoder()
	d.Trust()
	d.Filled(copy(d.Space(len(stream)), stream))
	var whole []byte
	for frames := 0; ; frames++ {
		f, ok, err := d.Next()
		if err != nil || !ok {
			t.Fatalf("after %d frames: %v, %v", frames, ok, err)
		}
		part, err := ParseStrict(f.Body)
		if err != nil || f.Type != TypeStrict {
			t.Fatal(f.Type, err)
		}
		whole = append(whole, part.Part...)
		if !part.More {
			break
		}
	}
	read, err := ParseStrictMessage(whole)
	if diff := cmp.Diff(m, read); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// What a peer cannot mean is an error, before it reaches the arithmetic.
func TestStrictMessagesOutOfRange(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 8)
	huge = append(huge, 0x7f)
	ask := AppendStrictMessage(nil, &strict.Message{Kind: strict.Ask, Key: "k"})
	for _, test := range []struct {
		name string
		body []byte
		want string
	}{
		{"an amount", append(append([]byte{byte(strict.Recall), 0, 0, 0, 1, 'k'}, huge...), 0), "amount 9223372036854775807"},
		{"a session", append([]byte{byte(strict.Resync), 0}, append(huge, 0)...), "session 9223372036854775807"},
		{"a demand", append(ask[:len(ask)-1:len(ask)-1], huge...), "demand 9223372036854775807"},
		{"a long key", append([]byte{byte(strict.Ask), 0, 0, 0, 65}, make([]byte, 65)...), "key has 65 bytes"},
		{"many holdings", []byte{byte(strict.Claim), 0, 0, 0, 1, 0xff, 0xff, 0x03}, "65535 holdings"},
		{"a seat", []byte{byte(strict.Consent), 0, 1, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "seat 64"},
		{"seats that repeat", AppendStrictMessage(nil, &strict.Message{
			Kind: strict.Consent, Excluded: []strict.Member{{Seat: 1}, {Seat: 1}},
		}), "seat 1 is out of order"},
	} {
		if _, err := ParseStrictMessage(test.body); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := ParseStrict((&Strict{From: 64}).Append(nil)); err == nil {
		t.Error("a seat that no list has is accepted")
	}
}

// The register keeps views as bytes.
func TestStrictViews(t *testing.T) {
	v := strict.View{Number: 300, Founding: true, Members: []strict.Member{{Seat: 0, Incarnation: 1 << 63, Birth: 300}, {Seat: 63}}}
	read, err := ParseStrictView(AppendStrictView(nil, &v))
	if diff := cmp.Diff(v, read); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := ParseStrictView([]byte{1}); err == nil {
		t.Error("a view that is cut off is accepted")
	}
}
