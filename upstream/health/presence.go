package health

import (
	"context"
	"encoding/binary"
	"slices"

	"starling/logs"
	"starling/upstream/health/turns"
	"starling/zone/kinds"
)

// This file tells the other nodes which checks this one has.

// present tells them, until the configuration ends and no other has the checks.
func (c *Checks) present(ctx context.Context) {
	for _, g := range c.groups {
		for _, check := range g.checks {
			if s := check.Sharing; s != nil {
				s.enter(c)
				context.AfterFunc(ctx, func() { s.exit(c) })
			}
		}
	}
}

func (s *Sharing) enter(c *Checks) {
	w := s.Wakes
	w.mu.Lock()
	if w.present == nil {
		w.present, w.cards = map[turns.ID]int{}, map[string][]*Sharing{}
	}
	w.present[s.ID]++
	place := string(placeOf(s.Roster, s.Place))
	w.cards[place] = append(w.cards[place], s)
	w.mu.Unlock()
	me := turns.Presence{Node: s.Node(), Host: s.Host}
	if s.tell(c, s.ID[:], me.Append(nil)) {
		s.show(c)
	}
}

// show tells the others what the check is.
func (s *Sharing) show(c *Checks) {
	card := s.card()
	s.tell(c, placeOf(s.Roster, s.Place), card.Append(nil, kinds.MaxHealthValueBytes))
}

func (s *Sharing) card() turns.Card {
	return turns.Card{Presence: turns.Presence{Node: s.Node(), Host: s.Host}, ID: s.ID, At: s.At, Terms: s.Terms}
}

func (s *Sharing) tell(c *Checks, key, value []byte) bool {
	err := s.Zone.Say(key, value, c.clock.Now())
	if err != nil {
		c.log.Logf(logs.Error, "cannot share health checks with the cluster: zone \"%s\": %v", s.Zone.Info().Name, err)
	}
	return err == nil
}

func (s *Sharing) exit(c *Checks) {
	w, now := s.Wakes, c.clock.Now()
	place := placeOf(s.Roster, s.Place)
	w.mu.Lock()
	w.present[s.ID]--
	isLast := w.present[s.ID] == 0
	if isLast {
		delete(w.present, s.ID)
	}
	all := w.cards[string(place)]
	told := all[len(all)-1]
	all = slices.DeleteFunc(all, func(other *Sharing) bool { return other == s })
	w.cards[string(place)] = all
	var next *Sharing
	if len(all) > 0 {
		next = all[len(all)-1]
	} else {
		delete(w.cards, string(place))
	}
	w.mu.Unlock()
	if isLast {
		s.Zone.Withdraw(s.ID[:], now)
	}
	switch {
	case next == nil:
		s.Zone.Withdraw(place, now)
	case told == s: // a configuration that has failed to start
		next.show(c)
	}
}

// placeOf is the key of a card.
func placeOf(roster turns.ID, place int) []byte {
	return binary.LittleEndian.AppendUint16(slices.Clone(roster[:]), uint16(place))
}

// isOfCheck reports whether a key is that of a presence or a card: those of findings end with an address.
func isOfCheck(key []byte) bool {
	return len(key) <= len(turns.ID{})+2
}
