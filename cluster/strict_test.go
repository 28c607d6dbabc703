package cluster

import (
	"strings"
	"testing"

	"starling/cluster/strict"
	"starling/cluster/wire"
)

// strictly notes the strict messages that come.
type strictly struct {
	from     []string
	messages []strict.Message
	letters  []wire.Register
}

func (s *strictly) StrictMessage(address string, _, _ uint64, m strict.Message) {
	s.from, s.messages = append(s.from, address), append(s.messages, m)
}

func (s *strictly) StrictLetter(address string, m wire.Register) {
	m.Letter = append([]byte(nil), m.Letter...)
	s.from, s.letters = append(s.from, address), append(s.letters, m)
}

// strictPair is two connected hosts that take strict messages.
func strictPair(t *testing.T, withhold uint64) (*fabric, []*strictly) {
	f := newFabric(t, 2)
	var sinks []*strictly
	for i, h := range f.hosts {
		if i == 1 {
			h.withhold = withhold
		}
		h.crash()
		h.strict = &strictly{}
		sinks = append(sinks, h.strict)
		h.start()
		h.know(2)
	}
	f.settle(5000, "ready", f.ready)
	return f, sinks
}

// A claim of many keys arrives whole, between other messages, with the address of its sender.
func TestStrictMessagesArrive(t *testing.T) {
	f, sinks := strictPair(t, 0)
	claim := strict.Message{Kind: strict.Claim, View: 1, Session: 1, Sequence: 1}
	for range 5000 {
		claim.Holdings = append(claim.Holdings, strict.Holding{Key: strings.Repeat("k", strict.KeyBytesMost)})
	}
	envelope := wire.Strict{List: 1, Zone: 2, From: 0, To: 1}
	frames := wire.AppendStrictFrames(nil, envelope, wire.AppendStrictMessage(nil, &claim))
	letter := wire.Register{List: 1, From: 0, To: 1, Letter: []byte("letter")}
	frames = wire.AppendFrame(frames, wire.TypeRegister, letter.Append(nil), nil)
	frames = wire.AppendStrictFrames(frames, envelope, wire.AppendStrictMessage(nil, &strict.Message{Kind: strict.Pong}))
	if !f.hosts[0].node.SendStrict("host1", frames) {
		t.Fatal("it is not sent")
	}
	f.hosts[0].set("key", "value")
	f.step(50)
	got := sinks[1]
	if len(got.messages) != 2 || len(got.messages[0].Holdings) != 5000 || got.messages[1].Kind != strict.Pong ||
		got.messages[0].To != 1 || len(got.letters) != 1 || string(got.letters[0].Letter) != "letter" {
		t.Errorf("%d messages and %d letters came", len(got.messages), len(got.letters))
	}
	for _, from := range got.from {
		if from != "host0" {
			t.Errorf("from %q", from)
		}
	}
	if got := f.hosts[1].get("key"); got != "value" {
		t.Errorf("the records behind it: %q", got)
	}
}

// A release without strict limits gets none, and what it sends is not heard.
func TestAnOlderReleaseGetsNoStrictMessages(t *testing.T) {
	f, sinks := strictPair(t, wire.FeatureStrict)
	if f.hosts[0].node.SendStrict("host1", []byte("frames")) {
		t.Error("an older release is sent strict messages")
	}
	if connected, keeps := f.hosts[0].node.KeepsStrict("host1"); !connected || keeps {
		t.Errorf("connected %v, keeps %v", connected, keeps)
	}
	if connected, _ := f.hosts[0].node.KeepsStrict("nowhere"); connected {
		t.Error("connected to nowhere")
	}
	if len(sinks[1].from) > 0 {
		t.Error("something came")
	}
}

// Bytes that no member sends end the connection; a message without an end does not fill the memory.
func TestStrictBytesThatNobodySends(t *testing.T) {
	part := wire.Strict{List: 1, Zone: 2, To: 1, More: true}
	for _, test := range []struct {
		name, want string
		frames     func() []byte
	}{
		{"cut off", "strict: message is truncated", func() []byte { return wire.AppendFrame(nil, wire.TypeStrict, []byte{1}, nil) }},
		{"no message", "strict message: ", func() []byte { return wire.AppendStrictFrames(nil, part, []byte{byte(strict.Ask)}) }},
		{"no letter", "register: message is truncated", func() []byte {
			return wire.AppendFrame(nil, wire.TypeRegister, []byte{1}, nil)
		}},
		{"endless", "strict message is longer than allowed", func() (frames []byte) {
			body := make([]byte, 200<<10)
			for range wire.MaxStrictBytes/len(body) + 1 {
				frames = wire.AppendFrame(frames, wire.TypeStrict, part.Append(nil), body)
			}
			return frames
		}},
	} {
		f, sinks := strictPair(t, 0)
		var acceptor *Session
		for _, p := range f.pipes {
			if p.hosts == [2]int{0, 1} {
				acceptor = p.ends[1]
			}
		}
		if !f.hosts[0].node.SendStrict("host1", test.frames()) {
			t.Fatalf("%s: it is not sent", test.name)
		}
		f.step(100)
		ended := acceptor.Ended()
		if ended == nil || ended.Err == nil || !strings.Contains(ended.Err.Error(), test.want) {
			t.Errorf("%s: the connection ended with %+v, want %q", test.name, ended, test.want)
		}
		if len(sinks[1].messages) > 0 {
			t.Errorf("%s: %d messages came", test.name, len(sinks[1].messages))
		}
	}
}

// A peer that does not read loses strict messages, and no memory is spent on it.
func TestStrictMessagesForAPeerThatDoesNotRead(t *testing.T) {
	f, _ := strictPair(t, 0)
	for _, p := range f.pipes {
		p.stalled = true
	}
	sent, frames := 0, make([]byte, 1<<20)
	for range 2 * strictQueueMost >> 20 {
		if f.hosts[0].node.SendStrict("host1", frames) {
			sent++
		}
	}
	if sent != strictQueueMost>>20 {
		t.Errorf("%d MB are queued", sent)
	}
}
