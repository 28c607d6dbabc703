package carrier

import (
	"testing"

	"starling/cluster/strict"
	"starling/cluster/wire"
)

// seated are the views that some members have of one list. Each has met all others.
func seated(t *testing.T, count int) (list []*seating) {
	t.Helper()
	for i := range count {
		list = append(list, &seating{hash: 5, members: make([]string, count), self: strict.Seat(i), seals: newSeals()})
	}
	for _, from := range list {
		for _, to := range list {
			if from != to {
				ping := strict.Envelope{Hop: to.self, Message: strict.Message{Kind: strict.Ping, From: from.self, To: to.self}}
				from.proven(1, &ping)
				ping.Message = throughWire(t, ping.Message)
				to.meet(&ping.Message)
			}
		}
	}
	return list
}

// throughWire is a message after it was bytes.
func throughWire(t *testing.T, m strict.Message) strict.Message {
	t.Helper()
	read, err := wire.ParseStrictMessage(wire.AppendStrictMessage(nil, &m))
	if err != nil {
		t.Fatal(err)
	}
	read.From, read.To = m.From, m.To
	return read
}

// What a third member passes on is what the sender made, for this receiver and this zone.
func TestPassedOnMessagesAreSealed(t *testing.T) {
	list := seated(t, 3)
	a, b, c := list[0], list[1], list[2]
	const tag = 7
	back := strict.Message{
		Kind: strict.Return, From: 0, To: 1, View: 3, Session: 2, Sequence: 4, Key: "key", Piece: strict.Piece{Capacity: 5, Rate: 1},
	}
	sealed := strict.Envelope{Hop: 2, Message: back}
	a.proven(tag, &sealed)
	passedOn := strict.Envelope{Hop: 1, Message: throughWire(t, sealed.Message)}
	c.proven(tag, &passedOn)
	came := throughWire(t, passedOn.Message)
	if !b.made(tag, &came) {
		t.Error("what member 0 made is not known to be from it")
	}
	for name, change := range map[string]func(m *strict.Message){
		"no seal":           func(m *strict.Message) { m.Seal = strict.Proof{} },
		"a larger piece":    func(m *strict.Message) { m.Piece.Capacity++ },
		"an empty piece":    func(m *strict.Message) { m.Piece = strict.Piece{} },
		"a later one":       func(m *strict.Message) { m.Sequence++ },
		"another view":      func(m *strict.Message) { m.View++ },
		"another sender":    func(m *strict.Message) { m.From = 2 },
		"sealed by another": func(m *strict.Message) { m.Seal = c.seal(*c.seals.theirs[1].Load(), tag, *m) },
	} {
		forged := came
		change(&forged)
		if b.made(tag, &forged) {
			t.Errorf("%s: it counts", name)
		}
	}
	if b.made(tag+1, &came) {
		t.Error("it counts for another zone")
	}
	again := &seating{hash: 5, members: b.members, self: 1, seals: newSeals()}
	if again.made(tag, &came) {
		t.Error("it counts for the next process of the member")
	}
}

// A runner takes a message over a third member only with its seal.
func TestARunnerDropsWhatIsNotSealed(t *testing.T) {
	list := seated(t, 3)
	r, log := idleRunner(t)
	gate := strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)
	r.seats, r.open[gate], r.silent[gate] = list[1], gate.Tag, &missing{}
	made := strict.Envelope{Hop: 2, Message: strict.Message{Kind: strict.Ask, From: 0, To: 1, Key: "key"}}
	list[0].proven(gate.Tag, &made)
	forged := strictItem{via: 2, zone: gate.Tag, m: made.Message}
	forged.m.Key = "another key"
	r.receive(&forged, 1_000_000)
	if r.silent[gate][0] != 0 || log.count("its seal is wrong") != 1 {
		t.Error("a forged message counts")
	}
	r.receive(&strictItem{via: 2, zone: gate.Tag, m: made.Message}, 2_000_000)
	if r.silent[gate][0] != 2_000_000 || log.count("its seal is wrong") != 1 {
		t.Error("a sealed message does not count")
	}
}

// Messages that go directly have no seal, and pings no secret that the receiver does not need.
func TestDirectMessagesHaveNoSeal(t *testing.T) {
	a := seated(t, 2)[0]
	direct := strict.Envelope{Hop: 1, Message: strict.Message{Kind: strict.Ask, To: 1}}
	a.proven(1, &direct)
	stranger := strict.Envelope{Hop: 1, Message: strict.Message{Kind: strict.Ask, From: 0, To: 2}}
	a.seals.theirs[2].Store(nil)
	a.proven(1, &stranger)
	if direct.Seal != (strict.Proof{}) || direct.Secret != (strict.Proof{}) || stranger.Seal != (strict.Proof{}) {
		t.Errorf("%+v, %+v", direct, stranger)
	}
}
