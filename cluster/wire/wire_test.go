package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"starling/cluster/strict"
	"starling/lib/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew; only to add lines, never to change one")

const golden = "testdata/v1.golden"

// message is one example of each type, with a parser that gives it back.
type message struct {
	name  string
	t     Type
	body  []byte
	value any
	parse func([]byte) (any, error)
}

func parser[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(body []byte) (any, error) { return parse(body) }
}

var beat = Heartbeat{WallMS: 1_795_000_000_123, Token: 4294967300, Echo: 4294967200, HeldMS: 7}

func examples() []message {
	hello := Hello{
		MinVersion: 1, Version: 1, Features: FeatureS2, NodeID: 0x1a2b3c4d5e6f7081, Incarnation: 7, Cluster: "blue",
		TimeoutMS: 5000, WallMS: 1_795_000_000_000,
		Zones: []Zone{
			{Name: "one", Kind: 3, Expression: "$binary_remote_addr", Bytes: 10 << 20, RateMilli: 1000, Origin: 0xfeedface, Ready: true},
			{Name: "kv", Kind: 2, Expression: "$arg_text string", Bytes: 32 << 10, TimeoutMS: 3_600_000, Origin: 42, Covered: true},
		},
	}
	reply := Reply{Status: StatusAccepted, Hello: hello, Resumes: []Resume{{Zone: 0, Sequence: 300}, {Zone: 1}}}
	refusal := Reply{Status: StatusRefused, Text: "node 01 is of cluster \"red\"", Hello: Hello{MinVersion: 1, Version: 1}}
	set, restless, view := beat, beat, exampleView()
	set.SetMS, restless.Restless = -120_000, true
	request := TeachRequest{Zone: 1, Shards: ShardSet{1, 0, 0, 1 << 63}, Merge: true}
	begin := TeachBegin{Zone: 1, LostTo: 1030, Frontier: []Applied{{Origin: 42, Sequence: 1029}, {Origin: 43, Sequence: 5}}}
	digests := Digests{Zone: 1, Shards: &[256]uint64{0: 1, 255: 0x0123456789abcdef}}
	report := Report{Zone: 0, Records: 12, AheadMS: 61000}
	bye := Goodbye{Reason: ReasonStopping, Text: "the node is shutting down"}
	both := TeachRequest{Zone: 1, Shards: ShardSet{2, 0, 0, 0}, Merge: true, Both: true}
	sketch := Sketch{Zone: 1, First: 64, Last: 127, Fresh: true, Cells: []byte("cells")}
	end := RepairEnd{Zone: 1, First: 64, Last: 127, Sent: 300, Wanted: 2, Left: 1}
	tooMany := RepairEnd{Zone: 1, Last: 255, TooMany: true}
	wants := Wants{Zone: 1, Elements: []Element{{Key: 0x0123456789abcdef, Version: 1}, {Key: 2, Version: 1 << 63}}}
	zones := Zones{Answered: 1, Removed: []uint64{0, 300}, Added: hello.Zones[1:]}
	shares := Shares{Asks: true, Known: 301, Zones: hello.Zones, Stopped: []uint64{2}, Resumes: []Resume{{Zone: 300, Sequence: 1}}}
	return append([]message{
		{"hello", TypeHello, hello.Append(nil), hello, parser(ParseHello)},
		{"reply", TypeReply, reply.Append(nil), reply, parser(ParseReply)},
		{"refusal", TypeReply, refusal.Append(nil), refusal, parser(ParseReply)},
		{"heartbeat", TypeHeartbeat, beat.Append(nil), beat, parser(ParseHeartbeat)},
		{
			"data",
			TypeData,
			append(AppendDataHead(nil, 1, 300, 2), "payload"...),
			Data{Zone: 1, Sequence: 300, AgeMS: 2, Payload: []byte("payload")},
			parser(ParseData),
		},
		{"ack", TypeAck, AppendAck(AppendAck(nil, Ack{0, 300}), Ack{1, 5}), []Ack{{0, 300}, {1, 5}}, parser(parseAcks)},
		{"teach-request", TypeTeachRequest, request.Append(nil), request, parser(ParseTeachRequest)},
		{"teach-begin", TypeTeachBegin, begin.Append(nil), begin, parser(ParseTeachBegin)},
		{
			"teach",
			TypeTeach,
			append(AppendTeachHead(nil, 1, 200, true), "piece"...),
			Teach{Zone: 1, Shard: 200, Last: true, Payload: []byte("piece")},
			parser(ParseTeach),
		},
		{"ready", TypeReady, Ready{Zone: 1}.Append(nil), Ready{Zone: 1}, parser(ParseReady)},
		{"digests", TypeDigests, digests.Append(nil), digests, parser(ParseDigests)},
		{"report", TypeReport, report.Append(nil), report, parser(ParseReport)},
		{"takeover", TypeTakeover, nil, nil, func([]byte) (any, error) { return nil, nil }},
		{"goodbye", TypeGoodbye, bye.Append(nil), bye, parser(ParseGoodbye)},
		{"teach-request-both", TypeTeachRequest, both.Append(nil), both, parser(ParseTeachRequest)},
		{"sketch", TypeSketch, sketch.Append(nil), sketch, parser(ParseSketch)},
		{"repair", TypeRepair, append(AppendRepairHead(nil, 1), "records"...), Repair{Zone: 1, Payload: []byte("records")}, parser(ParseRepair)},
		{"repair-end", TypeRepairEnd, end.Append(nil), end, parser(ParseRepairEnd)},
		{"repair-end-too-many", TypeRepairEnd, tooMany.Append(nil), tooMany, parser(ParseRepairEnd)},
		{"agreed", TypeAgreed, Agreed{Zone: 1, Left: 300}.Append(nil), Agreed{Zone: 1, Left: 300}, parser(ParseAgreed)},
		{"bury", TypeBury, wants.Append(nil), wants, parser(ParseWants)},
		{"wants", TypeWants, wants.Append(nil), wants, parser(ParseWants)},
		{"zones", TypeZones, zones.Append(nil), zones, parser(ParseZones)},
		{"shares", TypeShares, shares.Append(nil), shares, parser(ParseShares)},
		{"view-request", TypeViewRequest, nil, nil, func([]byte) (any, error) { return nil, nil }},
		{"view", TypeView, view.Append(nil), view, parser(ParseView)},
		{"heartbeat-set", TypeHeartbeat, set.Append(nil), set, parser(ParseHeartbeat)},
		{"heartbeat-restless", TypeHeartbeat, restless.Append(nil), restless, parser(ParseHeartbeat)},
	}, deliveryExamples()...)
}

// deliveryExamples are of the messages by which answers to clients wait for peers.
func deliveryExamples() []message {
	ask := Ask{Number: 7, Zone: 1, Key: []byte("0123456789abcdef")}
	return []message{
		{"await", TypeAwait, Await{Kept: []uint64{1, 300}}.Append(nil), Await{Kept: []uint64{1, 300}}, parser(ParseAwait)},
		{"kept", TypeKept, AppendAck(nil, Ack{1, 300}), []Ack{{1, 300}}, parser(parseAcks)},
		{"ask", TypeAsk, ask.Append(nil), ask, parser(ParseAsk)},
		{
			"answer",
			TypeAnswer,
			append(AppendAnswerHead(nil, 7, 1), "record"...),
			Answer{Number: 7, Zone: 1, Payload: []byte("record")},
			parser(ParseAnswer),
		},
	}
}

func sumExamples() []message {
	wanted := DigestRequest{Zones: []uint64{1, 300}}
	sums := []Sum{{Zone: 1, Sum: 0x0123456789abcdef}, {Zone: 300, Sum: 1}}
	return []message{
		{"sums", TypeSums, AppendSums(nil, sums), sums, parser(ParseSums)},
		{"digest-request", TypeDigestRequest, wanted.Append(nil), wanted, parser(ParseDigestRequest)},
	}
}

// allExamples are those of all files.
func allExamples() []message { return slices.Concat(examples(), sumExamples(), strictExamples()) }

func parseAcks(body []byte) (list []Ack, err error) {
	err = ParseAcks(body, func(a Ack) { list = append(list, a) })
	return list, err
}

// exampleView is one of a cluster in which something is wrong.
func exampleView() View {
	return View{
		Ready: true, OffsetMS: -7,
		Zones: []ViewedZone{
			{Name: "kv", Agreement: AgreementAgree, Ready: true, Comparable: true, Digest: 0x0123456789abcdef, Records: 300, Pending: 1, Tombstones: 2, Bytes: 9000, Changes: 400},
			{Name: "one", Full: true, Records: 5},
		},
		Peers: []ViewedPeer{{ID: 42, Pushing: true, Agreement: AgreementDiffer, LagMS: 300, Pending: 4, RTTMS: 1, OffsetMS: -20}, {ID: 43, Accepted: true}},
	}
}

// The bytes of version 1 never change: nodes of two releases stand in one cluster.
func TestGoldenBytes(t *testing.T) {
	var now strings.Builder
	fmt.Fprintf(&now, "preamble %x\n", Preamble)
	for _, m := range allExamples() {
		fmt.Fprintf(&now, "%s %x\n", m.name, AppendFrame(nil, m.t, m.body, nil))
	}
	if *update {
		if err := os.WriteFile(golden, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(was), now.String()); diff != "" {
		t.Errorf("bytes on the wire changed (-golden +now):\n%s", diff)
	}
}

// goldenStream is all golden frames, one after the other.
func goldenStream(t testing.TB) []byte {
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var stream []byte
	for line := range strings.Lines(string(text)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, b...)
	}
	return stream
}

func TestGoldenBytesAreReadBackHoweverTheyAreCut(t *testing.T) {
	stream := goldenStream(t)
	for _, cut := range []int{1, 2, 7, 64, len(stream)} {
		d := NewDecoder()
		var got []Frame
		for rest := stream; len(rest) > 0; {
			n := min(cut, len(rest))
			d.Filled(copy(d.Space(n), rest[:n]))
			rest = rest[n:]
			for {
				f, ok, err := d.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				f.Body = bytes.Clone(f.Body)
				got = append(got, f)
			}
		}
		want := allExamples()
		if len(got) != len(want) {
			t.Fatalf("cut every %d bytes: %d frames of %d", cut, len(got), len(want))
		}
		for i, m := range want {
			value, err := m.parse(got[i].Body)
			if got[i].Type != m.t || err != nil {
				t.Fatalf("%s: type %d, %v", m.name, got[i].Type, err)
			}
			if diff := cmp.Diff(m.value, value); diff != "" {
				t.Errorf("%s (-sent +read):\n%s", m.name, diff)
			}
		}
	}
}

// Later versions append to messages; what is unknown is left alone. What is cut off is an error.
func TestMessagesMayGrowButNotShrink(t *testing.T) {
	for _, m := range allExamples() {
		switch m.t {
		case TypeData, TypeTeach, TypeSketch, TypeRepair, TypeAck, TypeKept, TypeAnswer, TypeTakeover, TypeRegister:
			continue // their ends are payloads and lists
		}
		if m.name == "heartbeat" || m.name == "heartbeat-set" {
			continue // it has grown already: see heartbeat-restless
		}
		value, err := m.parse(append(bytes.Clone(m.body), "later"...))
		if err != nil {
			t.Errorf("%s with more at its end: %v", m.name, err)
		} else if diff := cmp.Diff(m.value, value); diff != "" {
			t.Errorf("%s with more at its end (-sent +read):\n%s", m.name, diff)
		}
		for n := range len(m.body) {
			if m.name == "heartbeat-restless" && n >= len(beat.Append(nil)) {
				continue // of an older release
			}
			if proven := m.name == "strict-ping-secret" || m.name == "strict-ask-sealed"; proven && n >= len(m.body)-len(strict.Proof{}) {
				continue // a proof that is cut off is none, as of an older release
			}
			if _, err := m.parse(m.body[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes is read without an error", m.name, n, len(m.body))
			}
		}
	}
}

func TestWhatIsNotAFrame(t *testing.T) {
	frame := AppendFrame(nil, TypeReady, []byte{1}, nil)
	flipped := bytes.Clone(frame)
	flipped[2] ^= 1
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"huge", []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, "frame is longer than the limit of 262144 bytes"},
		{"endless length", bytes.Repeat([]byte{0xff}, 11), "frame is longer than"},
		{"too short", []byte{3, 0, 0, 0}, "frame of 3 bytes is shorter"},
		{"flipped bit", flipped, "frame checksum mismatch"},
		{"not compressed", AppendFrame(nil, TypeTeach|compressedBit, []byte{0xff, 0xff, 0xff, 0xff, 1}, nil), "a compressed frame"},
		{"compressed, but no records", AppendFrame(nil, TypeReady|compressedBit, s2.Encode(nil, []byte{1}), nil), "frame of type 9 is compressed"},
	}
	for _, test := range tests {
		d := NewDecoder()
		d.WantRecords()
		d.Filled(copy(d.Space(100), Preamble+string(test.bytes)))
		_, _, err := d.Next()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestBigFramesAreCompressedWhereThatPays(t *testing.T) {
	var c Compressor
	var text []byte
	for i := range 2000 {
		text = fmt.Appendf(text, "sessions look alike %d; ", i*i)
	}
	random := make([]byte, 40_000)
	seed := uint64(1)
	for i := range random {
		seed = seed*6364136223846793005 + 1442695040888963407
		random[i] = byte(seed >> 56)
	}
	for _, body := range [][]byte{text, random, text, text[:100]} {
		frame := c.AppendFrame(nil, TypeTeach, body[:10], body[10:])
		if len(frame) > len(body)+16 {
			t.Errorf("%d bytes became %d", len(body), len(frame))
		}
		d := NewDecoder()
		d.Trust()
		d.WantRecords()
		d.Filled(copy(d.Space(len(Preamble)+len(frame)), Preamble+string(frame)))
		f, ok, err := d.Next()
		if err != nil || !ok || f.Type != TypeTeach || !bytes.Equal(f.Body, body) {
			t.Errorf("%d bytes: type %d, %d bytes, %v", len(body), f.Type, len(f.Body), err)
		}
	}
	if small := new(Compressor).AppendFrame(nil, TypeTeach, nil, text); len(small) > len(text)/2 {
		t.Errorf("%d bytes of lines that look alike became %d", len(text), len(small))
	}
	// What a reader would not expand is not compressed.
	monotone := make([]byte, 100_000)
	if frame := new(Compressor).AppendFrame(nil, TypeTeach, nil, monotone); len(frame) < len(monotone) {
		t.Errorf("%d zeros became %d bytes: more than %d times less", len(monotone), len(frame), MaxRatio)
	}
}

// A length prefix alone does not make the decoder allocate.
func TestMemoryGrowsWithBytesOnly(t *testing.T) {
	d := NewDecoder()
	d.Trust()
	d.Filled(copy(d.Space(64), Preamble+"\xff\xff\xff\x07"))
	for range 3 {
		if _, ok, err := d.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		if got := len(d.Space(4096)); got > 64<<10 {
			t.Fatalf("%d bytes of room after 12 bytes received", got)
		}
	}
}

func TestFramesCostNoAllocations(t *testing.T) {
	payload := bytes.Repeat([]byte{7}, 4000)
	d := NewDecoder()
	d.Filled(copy(d.Space(len(Preamble)), Preamble))
	var head, frame []byte
	send := func() {
		head = AppendDataHead(head[:0], 1, 300, 2)
		frame = AppendFrame(frame[:0], TypeData, head, payload)
		d.Filled(copy(d.Space(len(frame)), frame))
		f, ok, err := d.Next()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := ParseData(f.Body); err != nil {
			t.Fatal(err)
		}
	}
	send()
	if n := testing.AllocsPerRun(100, send); n > 0 {
		t.Errorf("%v allocations for one frame there and back", n)
	}
}

// FuzzMessages gives each parser bodies without the checksum in the way; what parses survives being written and read
// again.
func FuzzMessages(f *testing.F) {
	for i, m := range allExamples() {
		f.Add(uint8(i), m.body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		all := allExamples()
		m := all[int(which)%len(all)]
		var value any
		var err error
		if bytes := testkit.Allocated(func() { value, err = m.parse(body) }); bytes > memoryAtAll+memoryPerByte*len(body) {
			t.Errorf("%d bytes were allocated for a body of %d", bytes, len(body))
		}
		if err != nil || value == nil {
			return
		}
		again, ok := value.(interface{ Append([]byte) []byte })
		if !ok {
			return
		}
		second, err := m.parse(again.Append(nil))
		if diff := cmp.Diff(value, second); err != nil || diff != "" {
			t.Errorf("%s: %v %s", m.name, err, diff)
		}
	})
}
