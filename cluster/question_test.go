package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/lib/stamp"
	"starling/zone"
)

// askMS is how long a client waits for the answer.
const askMS = 2

// secretly binds a session that no journal carries, as if it was lost on its way to the others.
func (h *host) secretly(id string) {
	scratch := &host{f: h.f}
	scratch.start()
	if err := scratch.session.Bind([]byte(id), []byte("server"), h.node.ClusterTime(h.reading())); err != nil {
		h.f.t.Fatal(err)
	}
	h.learnSecretly(scratch, id)
}

// learnSecretly merges a session of another zone.
func (h *host) learnSecretly(from *host, id string) {
	now := h.node.ClusterTime(h.reading())
	payload := from.session.AppendRecord(nil, []byte(id), now)
	if _, err := h.session.Learn(payload, now); err != nil || len(payload) == 0 {
		h.f.t.Fatalf("%d bytes, %v", len(payload), err)
	}
}

// find is what a request does: it asks the peers if the session is not here. It returns how long that took.
func (f *fabric) find(h *host, id string) (found bool, ms int, asked bool) {
	if h.knows(id) {
		return true, 0, false
	}
	q := h.session.Ask([]byte(id), h.node.ClusterTime(h.reading()))
	if q == nil {
		return false, 0, false
	}
	ms, _ = f.awaitAny(h, q, askMS)
	return h.knows(id), ms, true
}

// awaitAny lets time pass until something is at its end, or the limit is over.
func (f *fabric) awaitAny(h *host, w zone.Waiting, limitMS int) (ms int, inTime bool) {
	for ; ; ms++ {
		select {
		case <-w.Done():
			w.End(false, h.reading())
			return ms, true
		default:
		}
		if ms == limitMS {
			w.End(true, h.reading())
			return ms, false
		}
		f.step(1)
	}
}

// A host that lacks a session has it from a peer before the client's server is picked.
func TestAPeerIsAskedForAnUnknownSession(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	for i := range 50 {
		id := fmt.Sprint("lost", i)
		f.hosts[1+i%2].secretly(id)
		if found, ms, _ := f.find(f.hosts[0], id); !found || ms > 1 {
			t.Fatalf("session %d: found %v after %d ms", i, found, ms)
		}
	}
	f.settle(60_000, "in agreement", f.agree)
	if got, want := f.hosts[0].node.Status(f.hosts[0].reading()).Questions, (QuestionStatus{Asked: 50, Found: 50}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := f.hosts[1].node.Status(f.hosts[1].reading()).Questions; got.Answered != 50 {
		t.Errorf("a peer answered %d of 50 questions", got.Answered)
	}
}

// A session that nobody knows is not asked for again within a second, and one that is new meanwhile is found at once.
func TestAnUnknownSessionIsAskedForOnceASecond(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	if found, ms, asked := f.find(h, "nobody's"); found || !asked || ms > 1 {
		t.Errorf("found %v, asked %v, %d ms", found, asked, ms)
	}
	for range 10 {
		if _, _, asked := f.find(h, "nobody's"); asked {
			t.Error("it is asked for again at once")
		}
		f.step(90)
	}
	f.step(110)
	if _, _, asked := f.find(h, "nobody's"); !asked {
		t.Error("it is not asked for after a second")
	}
	f.await(f.hosts[1], f.hosts[1].login("nobody's"), testLimitMS)
	if found, _, asked := f.find(h, "nobody's"); !found || asked {
		t.Errorf("a new session that was unknown before: found %v, asked %v", found, asked)
	}
}

// Requests of one session ask once.
func TestRequestsOfOneSessionShareAQuestion(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.hosts[1].secretly("one")
	first := h.session.Ask([]byte("one"), h.reading())
	second := h.session.Ask([]byte("one"), h.reading())
	if first == nil || first != second {
		t.Fatal("two requests ask twice")
	}
	f.awaitAny(h, first, askMS)
	if ms, inTime := f.awaitAny(h, second, askMS); ms > 0 || !inTime {
		t.Errorf("the other one waits %d ms more", ms)
	}
}

// A peer that does not answer costs one wait, then one in 100 ms, and ever fewer. The others are asked all the while.
func TestASilentPeerIsNotAskedAgainAtOnce(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 2, true)
	if _, ms, _ := f.find(h, "nobody's"); ms != askMS {
		t.Fatalf("a question to a silent peer ends after %d ms", ms)
	}
	for i := range 20 {
		id := fmt.Sprint("lost", i)
		f.hosts[1].secretly(id)
		if found, ms, _ := f.find(h, id); !found || ms > 1 {
			t.Fatalf("session %d: found %v after %d ms beside a silent peer", i, found, ms)
		}
		if _, ms, _ := f.find(h, fmt.Sprint("unknown", i)); ms > 1 {
			t.Fatalf("an unknown session waits %d ms for a peer that was silent", ms)
		}
	}
	late := 0
	for i := range 60 {
		if _, ms, _ := f.find(h, fmt.Sprint("later", i)); ms == askMS {
			late++
		}
		f.step(60)
	}
	if late == 0 || late > 8 {
		t.Errorf("%d of 60 questions in 4 s wait for a silent peer", late)
	}
}

// A peer that answers every second question in time costs ever fewer waits, too.
func TestAPeerThatAnswersNowAndThenCostsEverFewerWaits(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h, late := f.hosts[0], 0
	for i := range 1200 { // a question every 50 ms for a minute
		f.halt(0, 1, i%2 == 0)
		_, ms, _ := f.find(h, fmt.Sprint("unknown", i))
		if ms == askMS {
			late++
		}
		f.step(20 - ms)
		f.halt(0, 1, false)
		f.step(30)
	}
	if late < 3 || late > 20 {
		t.Errorf("%d of 1200 questions wait", late)
	}
}

// A peer that answered once too late is asked again as soon as its answer has come.
func TestALatePeerIsAskedAgain(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 1, true)
	f.find(h, "unknown")
	f.halt(0, 1, false)
	f.step(1)
	f.hosts[1].secretly("one")
	if found, _, asked := f.find(h, "one"); !found || !asked {
		t.Errorf("found %v, asked %v", found, asked)
	}
}

// A zone that is full of other sessions evicts one for that of a client.
func TestAnAnswerFindsRoom(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.sessionBytes = 32 << 10
	h.crash()
	h.start()
	f.settle(5000, "ready", f.ready)
	for i := range 2000 {
		f.hosts[1].bind(i, "server")
		if i%20 == 0 {
			f.step(1)
		}
	}
	f.step(50)
	if h.session.Stats().Evicted == 0 || h.knows("session-00000000") {
		t.Fatal("the zone is not full: the case is not the one it is named for")
	}
	if found, _, _ := f.find(h, "session-00000000"); !found {
		t.Error("a full zone does not take the session of a client")
	}
}

// A peer that is lost ends the wait for its answer.
func TestALostPeerIsNotWaitedForWithAQuestion(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 1, true)
	q := h.session.Ask([]byte("one"), h.reading())
	f.step(1)
	f.block(0, 1)
	if ms, inTime := f.awaitAny(h, q, askMS); ms > 0 || !inTime {
		t.Errorf("it waits %d ms", ms)
	}
	if h.session.Ask([]byte("two"), h.reading()) != nil {
		t.Error("there is nobody to ask")
	}
}

// A newcomer that has been taught nothing yet asks, and so does a host that was cut off, as soon as it is connected.
func TestANewcomerAsks(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	for i := range 20_000 {
		f.hosts[0].bind(i, "server")
	}
	f.step(100)
	third := f.add()
	for _, h := range f.hosts {
		h.know(3)
	}
	f.settle(100, "met", third.isMetByAll)
	if third.node.Ready() || third.knows("session-00019999") {
		t.Fatal("it is taught already: the case is not the one it is named for")
	}
	if found, ms, _ := f.find(third, "session-00019999"); !found || ms > 1 {
		t.Errorf("a newcomer finds a session: %v, after %d ms", found, ms)
	}
	f.settle(5000, "ready", f.ready)

	f.block(0, 2)
	f.block(1, 2)
	f.step(1)
	f.hosts[1].secretly("meanwhile")
	clear(f.blocked)
	f.settle(100, "met", third.isMetByAll)
	if found, ms, _ := f.find(third, "meanwhile"); !found || ms > 1 {
		t.Errorf("a host that was cut off finds a session: %v, after %d ms", found, ms)
	}
}

// isMetByAll reports whether a host has incoming connections of all others.
func (h *host) isMetByAll() bool {
	accepted := 0
	for _, p := range h.node.Status(h.reading()).Peers {
		if p.Accepted {
			accepted++
		}
	}
	return accepted == len(h.members)
}

// A node of a release before is not asked.
func TestAnOlderReleaseIsNotAsked(t *testing.T) {
	f := newFabric(t, 1)
	old := f.add()
	old.withhold = wire.FeatureQuestions
	old.start()
	for _, h := range f.hosts {
		h.know(2)
	}
	f.settle(2000, "ready", f.ready)
	for _, h := range f.hosts {
		if h.session.Ask([]byte("one"), h.reading()) != nil {
			t.Errorf("host%d asks", h.index)
		}
	}
}

// Clients cannot make a node ask without end, nor a peer answer without end.
func TestQuestionsAreBounded(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	var open []zone.Waiting
	for i := range 4 * maxQuestions {
		if q := h.session.Ask(fmt.Append(nil, "id", i), h.reading()); q != nil {
			open = append(open, q)
		}
	}
	if len(open) != maxQuestions {
		t.Errorf("%d questions are open, at most %d may be", len(open), maxQuestions)
	}
	f.step(2)
	for _, q := range open {
		q.End(false, h.reading())
	}
	if got := h.node.questions.open.Load(); got != 0 {
		t.Errorf("%d questions are open when all are answered", got)
	}
	for i := range 3 * unknownSlots { // one of each peer's answers is remembered, not more than there is room for
		if q := h.session.Ask(fmt.Append(nil, "more", i), h.reading()); q != nil {
			f.awaitAny(h, q, askMS)
		}
	}
	for _, z := range h.node.table.Load().list {
		if n := len(z.questions.unknown); n > unknownSlots || len(z.questions.byKey) > 0 {
			t.Errorf("%d absences and %d open questions are kept", n, len(z.questions.byKey))
		}
	}
	flood := []byte(nil)
	for i := range 10 * maxAnswers {
		flood = wire.AppendFrame(flood, wire.TypeAsk, wire.Ask{Number: uint64(i), Zone: 2, Key: []byte("x")}.Append(nil), nil)
	}
	victim := f.pipes[0].ends[0]
	if err := victim.Receive(flood, f.now); err != nil {
		t.Fatal(err)
	}
	if n := len(victim.push.asks); n != maxAnswers {
		t.Errorf("%d questions of a peer wait for their answers, want %d", n, maxAnswers)
	}
}

// What a peer says about questions that were not asked, or in another form, does no harm.
func TestFalseAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		outgoing bool
		t        wire.Type
		body     []byte
		want     string // "": it is ignored
	}{
		"an answer that was not asked for": {false, wire.TypeAnswer, append(wire.AppendAnswerHead(nil, 99, 2), 1, 2, 3), ""},
		"a question about no zone":         {true, wire.TypeAsk, wire.Ask{Number: 1, Zone: 9, Key: []byte("x")}.Append(nil), "zone number 9"},
		"a question without a key":         {true, wire.TypeAsk, []byte{1, 2, 0}, "key is empty"},
		"a question with a long key":       {true, wire.TypeAsk, wire.Ask{Number: 1, Zone: 2, Key: make([]byte, 300)}.Append(nil), "at most 256"},
		"a question about pairs":           {true, wire.TypeAsk, wire.Ask{Number: 1, Zone: 0, Key: []byte("x")}.Append(nil), ""},
	} {
		f := newFabric(t, 2)
		f.settle(1000, "ready", f.ready)
		end := 1
		if c.outgoing {
			end = 0
		}
		err := f.pipes[0].ends[end].Receive(wire.AppendFrame(nil, c.t, c.body, nil), f.now)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		f.step(3)
	}
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	q := h.session.Ask([]byte("one"), h.reading()).(*question)
	body := append(wire.AppendAnswerHead(nil, q.number, 2), "no record"...)
	for _, p := range f.pipes {
		if p.hosts[1] == 0 {
			if err := p.ends[1].Receive(wire.AppendFrame(nil, wire.TypeAnswer, body, nil), f.now); err == nil {
				t.Error("a malformed answer is accepted")
			}
		}
	}
}

// answersOf is the session of an accepted connection with a host, over which that host answers.
func (f *fabric) answersOf(from, at int) *Session {
	for _, p := range f.pipes {
		if p.hosts == [2]int{from, at} {
			return p.ends[1]
		}
	}
	f.t.Fatalf("host%d has no connection to host%d", from, at)
	return nil
}

// recordOf is the record of a session in a zone of nobody.
func (h *host) recordOf(id string) []byte {
	scratch := &host{f: h.f}
	scratch.start()
	now := h.node.ClusterTime(h.reading())
	if err := scratch.session.Bind([]byte(id), []byte("server"), now); err != nil {
		h.f.t.Fatal(err)
	}
	return scratch.session.AppendRecord(nil, []byte(id), now)
}

// clearOf is a payload that clears the shard of a session.
func (h *host) clearOf(id string) []byte {
	now := h.node.ClusterTime(h.reading())
	e := h.session.NewEncoder()
	payload := append(e.Begin(nil, now), byte(zone.ShardOf(zone.KeyHash([]byte(id)))))
	return append(e.AppendClear(payload, stamp.At(now.WallMS, 9)), zone.GroupEnd)
}

// An answer with anything but the session that was asked for ends the connection with its peer. It changes nothing, and
// it does not end the question: another peer has the session.
func TestAFalseAnswerDoesNotEndAQuestion(t *testing.T) {
	for name, c := range map[string]struct {
		zone    uint64
		payload func(h *host) []byte
		want    string
	}{
		"another session": {2, func(h *host) []byte { return h.recordOf("another") }, "malformed"},
		"another session behind it": {2, func(h *host) []byte {
			another := h.recordOf("another")
			head := len(h.session.NewEncoder().Begin(nil, h.node.ClusterTime(h.reading())))
			return append(h.recordOf("one"), another[head:]...)
		}, "malformed"},
		"a deletion of all": {2, func(h *host) []byte { return h.clearOf("kept") }, "malformed"},
		"another zone":      {0, func(h *host) []byte { return h.recordOf("one") }, `zone "kv", which was not asked for`},
	} {
		f := newFabric(t, 3)
		f.settle(1000, "ready", f.ready)
		h := f.hosts[0]
		f.await(h, h.login("kept"), testLimitMS)
		f.hosts[2].secretly("one")
		f.halt(0, 2, true)
		f.halt(0, 1, true)
		q := h.session.Ask([]byte("one"), h.reading()).(*question)
		answer := wire.AppendFrame(nil, wire.TypeAnswer, wire.AppendAnswerHead(nil, q.number, c.zone), c.payload(h))
		if err := f.answersOf(1, 0).Receive(answer, f.now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if !h.knows("kept") || h.knows("another") {
			t.Errorf("%s: the answer changed other sessions", name)
		}
		f.halt(0, 2, false)
		if ms, inTime := f.awaitAny(h, q, askMS); !inTime || !h.knows("one") {
			t.Errorf("%s: in time %v after %d ms; the session of another peer is found: %v", name, inTime, ms, h.knows("one"))
		}
	}
}

// An answer with a session that was deleted here finds nothing: the deletion is later.
func TestAnAnswerWithADeletedSessionFindsNothing(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.await(h, h.login("one"), testLimitMS)
	outdated := f.hosts[1].session.AppendRecord(nil, []byte("one"), f.hosts[1].node.ClusterTime(f.hosts[1].reading()))
	f.step(5)
	h.session.Delete([]byte("one"), h.node.ClusterTime(h.reading()))
	q := h.session.Ask([]byte("one"), h.reading()).(*question)
	answer := wire.AppendFrame(nil, wire.TypeAnswer, wire.AppendAnswerHead(nil, q.number, 2), outdated)
	if err := f.answersOf(1, 0).Receive(answer, f.now); err != nil {
		t.Fatal(err)
	}
	if ms, inTime := f.awaitAny(h, q, askMS); ms > 0 || !inTime {
		t.Errorf("the only peer has answered, and the request waits %d ms", ms)
	}
	if h.knows("one") || h.node.Status(h.reading()).Questions.Found != 0 {
		t.Error("a deleted session is found")
	}
	if h.session.Ask([]byte("one"), h.reading()) != nil {
		t.Error("it is asked for again at once")
	}
}
