package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// A question asks the peers for a record that this node lacks and a client names: the session of a client that comes to
// a node which has just started, or was cut off. Each peer that pushes to this node looks in its zone and answers with
// the record, or without. The first record ends the question, and so does the last answer without one.

// The bounds of what clients can make this node ask, and a peer can make it answer.
const (
	// maxQuestions are open at a time, of all zones. They are answered within a millisecond.
	maxQuestions = 256
	// unknownMS is how long a record that no peer has is not asked for again.
	unknownMS = 1000
	// unknownSlots are the records that are remembered as unknown, in each zone. One that has the slot of another
	// replaces it.
	unknownSlots = 4096
	// maxAnswers wait to be sent to a peer. It asks again about others.
	maxAnswers = maxQuestions
)

// questions are those of one zone.
type questions struct {
	mu      sync.Mutex           // a leaf
	byKey   map[string]*question // open ones
	unknown []absence            // by the lower bits of the hash; made when there is the first
}

// absence is of a record that no peer had.
type absence struct {
	hash    uint64
	untilMS int64 // monotonic
}

// question implements zone.Waiting. Its fields are guarded by questions.mu.
type question struct {
	of      *questions
	node    *Node
	key     string
	number  uint64
	waiters int
	done    chan struct{}
	isDone  bool
	// asked is how many peers were, peers are those of them that have not answered; collected means that all are asked.
	asked     int
	peers     []*Session
	collected bool
}

// questionFigures count questions of this node, and those of its peers that it answered.
type questionFigures struct {
	asked, found, late, skipped, answered, dropped atomic.Int64
	open                                           atomic.Int64
	last                                           atomic.Uint64 // number
}

// ask asks the peers for a record. It returns nil if there is nobody to ask, too much is asked already, or the record
// was unknown a moment ago.
func (n *Node) ask(z *zoneState, key []byte, now clock.Reading) zone.Waiting {
	q, isNew := n.openQuestion(&z.questions, key, now)
	if q == nil {
		return nil
	}
	if !isNew {
		return q
	}
	for _, s := range n.all() {
		if !s.Outgoing {
			s.putTo(z, q, now)
		}
	}
	q.of.mu.Lock()
	q.collected = true
	nobody := q.asked == 0
	q.settle(now)
	q.of.mu.Unlock()
	if nobody {
		n.questions.skipped.Add(1)
		q.End(false, now)
		return nil
	}
	n.questions.asked.Add(1)
	return q
}

// openQuestion finds the open question about a key, or opens one.
func (n *Node) openQuestion(of *questions, key []byte, now clock.Reading) (q *question, isNew bool) {
	of.mu.Lock()
	defer of.mu.Unlock()
	hash := zone.KeyHash(key)
	if of.unknown != nil {
		if u := of.unknown[hash%unknownSlots]; u.hash == hash && now.MonoMS < u.untilMS {
			n.questions.skipped.Add(1)
			return nil, false
		}
	}
	if q = of.byKey[string(key)]; q != nil {
		q.waiters++
		return q, false
	}
	if n.questions.open.Add(1) > maxQuestions {
		n.questions.open.Add(-1)
		n.questions.skipped.Add(1)
		return nil, false
	}
	if of.byKey == nil {
		of.byKey = make(map[string]*question)
	}
	q = &question{of: of, node: n, key: string(key), waiters: 1, done: make(chan struct{})}
	q.number = n.questions.last.Add(1)
	of.byKey[q.key] = q
	return q, true
}

// putTo asks the dialer of a session, unless it is left out because it did not answer in time.
func (s *Session) putTo(z *zoneState, q *question, now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established || s.node.features&s.their.Features&wire.FeatureQuestions == 0 {
		return
	}
	i := slices.IndexFunc(s.intake.list(), func(iz *intakeZone) bool {
		return iz != nil && iz.state.progress == z.progress
	})
	if i < 0 || s.leaving.out && now.MonoMS < s.leaving.retryMS {
		return
	}
	s.leaving.out = false
	q.of.mu.Lock()
	q.peers = append(q.peers, s)
	q.asked++
	q.of.mu.Unlock()
	if s.intake.asked == nil {
		s.intake.asked = make(map[uint64]*question)
	}
	s.intake.asked[q.number] = q
	s.send(wire.TypeAsk, wire.Ask{Number: q.number, Zone: uint64(i), Key: []byte(q.key)}.Append(nil))
}

// Done implements zone.Waiting.
func (q *question) Done() <-chan struct{} { return q.done }

// End implements zone.Waiting.
func (q *question) End(late bool, now clock.Reading) {
	q.of.mu.Lock()
	q.waiters--
	if late = late && !q.isDone; late {
		q.node.questions.late.Add(1)
	}
	var peers []*Session
	if q.waiters == 0 || late {
		peers = slices.Clone(q.peers)
		q.finish(late, now)
	}
	q.of.mu.Unlock()
	for _, s := range peers {
		s.unanswered(q, late, now)
	}
}

// finish ends a question; unknown means that no record came. Called with of.mu held.
func (q *question) finish(isUnknown bool, now clock.Reading) {
	if q.isDone {
		return
	}
	q.isDone = true
	close(q.done)
	delete(q.of.byKey, q.key)
	q.node.questions.open.Add(-1)
	if isUnknown {
		if q.of.unknown == nil {
			q.of.unknown = make([]absence, unknownSlots)
		}
		hash := zone.KeyHash([]byte(q.key))
		q.of.unknown[hash%unknownSlots] = absence{hash, now.MonoMS + unknownMS}
	}
}

// settle ends a question that all have answered without the record. Called with of.mu held.
func (q *question) settle(now clock.Reading) {
	if q.collected && len(q.peers) == 0 && q.asked > 0 {
		q.finish(true, now)
	}
}

// unanswered forgets a question that a peer has not answered. If its time ran out, the peer is left out of others until
// it answers, or for a while: one that never answers costs ever fewer waits.
func (s *Session) unanswered(q *question, late bool, now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intake.asked[q.number] != q {
		return
	}
	delete(s.intake.asked, q.number)
	if late && !s.leaving.out {
		s.leaving.miss(now)
		s.leaving.retryMS = max(s.leaving.untilMS, now.MonoMS+firstPauseMS)
	}
}

// gotAnswer takes a dialer's answer. Called with mu held.
func (s *Session) gotAnswer(body []byte, now clock.Reading) error {
	a, err := wire.ParseAnswer(body)
	if err != nil {
		return err
	}
	q := s.intake.asked[a.Number]
	if q == nil { // too late
		s.leaving.out = s.leaving.out && now.MonoMS < s.leaving.untilMS
		return nil
	}
	delete(s.intake.asked, a.Number)
	s.leaving.hit()
	found := false
	if len(a.Payload) > 0 {
		if found, err = s.mergeAnswer(q, a, now); err != nil {
			return err
		}
	}
	q.of.mu.Lock()
	defer q.of.mu.Unlock()
	q.peers = slices.DeleteFunc(q.peers, func(other *Session) bool { return other == s })
	switch {
	case q.isDone:
	case found:
		s.node.questions.found.Add(1)
		q.finish(false, now)
	default:
		q.settle(now)
	}
	return nil
}

// mergeAnswer merges the record of an answer, and reports whether the zone has the record that was asked for. A false
// answer must not end the question: another peer may have the record. Called with mu held.
func (s *Session) mergeAnswer(q *question, a wire.Answer, now clock.Reading) (found bool, err error) {
	iz, err := s.zone(a.Zone)
	if err != nil {
		return false, err
	}
	findable, ok := iz.state.shared.(zone.Findable)
	if !ok || &iz.state.questions != q.of {
		return false, fmt.Errorf("peer answers a question with a record of zone %q, which was not asked for",
			iz.state.info.Name)
	}
	found, applied, err := findable.TakeRecord([]byte(q.key), a.Payload, s.arrival(now))
	if err != nil {
		return false, fmt.Errorf("answer about zone %q: %w", iz.state.info.Name, err)
	}
	iz.state.merged.Add(int64(applied.Won + applied.Cleared))
	s.node.cameLate(applied.Won+applied.Cleared, now)
	s.refused(iz, applied, now)
	return found, nil
}

// forgetQuestions ends what a lost peer has not answered.
func (s *Session) forgetQuestions(now clock.Reading) {
	s.mu.Lock()
	asked := s.intake.asked
	s.intake.asked = nil
	s.mu.Unlock()
	for _, q := range asked {
		q.of.mu.Lock()
		q.peers = slices.DeleteFunc(q.peers, func(other *Session) bool { return other == s })
		q.settle(now)
		q.of.mu.Unlock()
	}
}

// askedFor notes what the acceptor asks for; fillAnswers answers. Called with mu held.
func (s *Session) askedFor(body []byte) error {
	a, err := wire.ParseAsk(body)
	if err != nil {
		return err
	}
	if s.push.find(a.Zone) == nil {
		return s.unlessRetired(a.Zone, "peer asks for a record of")
	}
	if len(s.push.asks) >= maxAnswers {
		s.node.questions.dropped.Add(1) // its time runs out there
		return nil
	}
	a.Key = slices.Clone(a.Key)
	s.push.asks = append(s.push.asks, a)
	s.node.driver.Wake(s)
	return nil
}

// fillAnswers appends the answers to what the acceptor asked for. Called with mu held.
func (s *Session) fillAnswers(dst []byte, now clock.Reading) []byte {
	local := s.node.clocks.clusterTime(now)
	for _, a := range s.push.asks {
		var payload []byte
		if pz := s.push.find(a.Zone); pz != nil {
			if findable, ok := pz.state.shared.(zone.Findable); ok {
				payload = findable.AppendRecord(s.push.piece[:0], a.Key, local)
				s.push.keep(payload)
			}
		}
		s.push.head = wire.AppendAnswerHead(s.push.head[:0], a.Number, a.Zone)
		s.node.traffic.msgsOut.Add(1)
		dst = wire.AppendFrame(dst, wire.TypeAnswer, s.push.head, payload)
		s.node.questions.answered.Add(1)
	}
	s.push.asks = s.push.asks[:0]
	return dst
}

// QuestionStatus counts questions about records that a client named and a node lacked.
type QuestionStatus struct {
	// Asked are those that this node asked its peers, Found those that brought the record, Late those whose time ran
	// out. Skipped were not asked: the record was unknown a moment ago, too many were open, or no peer could be asked.
	Asked   int64 `json:"asked"`
	Found   int64 `json:"found"`
	Late    int64 `json:"timeouts"`
	Skipped int64 `json:"skipped"`
	// Answered are those of peers that this node answered; Dropped came faster than it sends.
	Answered int64 `json:"answered"`
	Dropped  int64 `json:"dropped"`
}

func (f *questionFigures) status() QuestionStatus {
	return QuestionStatus{
		Asked: f.asked.Load(), Found: f.found.Load(), Late: f.late.Load(), Skipped: f.skipped.Load(),
		Answered: f.answered.Load(), Dropped: f.dropped.Load(),
	}
}
