package turns

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"starling/zone"
)

// Term is one setting of a check that must be the same on nodes that take turns with it.
type Term struct{ Name, Value string }

// ID names a check on all nodes: those whose IDs differ do not take turns with each other.
type ID [16]byte

// Card is what a node tells of a check, so that another one whose check differs can say how.
type Card struct {
	Presence
	ID ID
	// At is where the configuration of the node has the check.
	At    string
	Terms []Term
}

// Limits of a card that a peer sends.
const (
	maxAtBytes   = 128
	maxNameBytes = 32
	maxTerms     = 16
	maxTermBytes = 128
)

const cardFormat byte = 3

// Append encodes a card: values are cut until it has at most so many bytes.
func (c *Card) Append(dst []byte, most int) []byte {
	for longest := maxTermBytes; ; longest /= 2 {
		b := c.append(dst, longest)
		if len(b)-len(dst) <= most || longest < maxTermBytes/8 {
			return b
		}
	}
}

func (c *Card) append(dst []byte, longest int) []byte {
	add := func(text string) {
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	}
	dst = append(append(dst, cardFormat), c.ID[:]...)
	add(Shown(c.Node, maxNodeBytes))
	add(Shown(c.Host, maxAtBytes))
	add(last(c.At, maxAtBytes))
	for _, t := range c.Terms[:min(len(c.Terms), maxTerms)] {
		add(Shown(t.Name, maxNameBytes))
		add(cut(t.Value, longest))
	}
	return dst
}

// last is the end of a text: of a path, that says more.
func last(text string, most int) string {
	text = Shown(text, len(text)+1)
	if len(text) > most {
		text = strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}

// cut is a value as it is shown: of a long one, the beginning and a hash, so that two different ones differ.
func cut(value string, most int) string {
	shown := Shown(value, len(value)+1)
	if len(shown) <= most {
		return shown
	}
	hash := fmt.Sprintf("…#%08x", uint32(zone.KeyHash([]byte(value))))
	return Shown(shown, max(most-len(hash), 0)) + hash
}

// ParseCard reads a card.
func ParseCard(b []byte) (c Card, err error) {
	r := zone.Read(b)
	format := r.Byte()
	copy(c.ID[:], r.Bytes(uint64(len(c.ID))))
	text := func(most int) string {
		s := string(r.Bytes(r.Uvarint()))
		if !isShown(s, most) {
			r.Fail()
		}
		return s
	}
	c.Node, c.Host, c.At = text(maxNodeBytes), text(maxAtBytes), text(maxAtBytes)
	for r.Len() > 0 && !r.Failed() && len(c.Terms) <= maxTerms {
		c.Terms = append(c.Terms, Term{text(maxNameBytes), text(maxTermBytes)})
	}
	if r.Failed() || format != cardFormat || len(c.Terms) > maxTerms {
		return Card{}, errMalformed
	}
	return c, nil
}

// Difference is a check of this node that another one lacks.
type Difference struct {
	Ours *Card
	// Theirs is the check that the other node has instead, nil if it has none.
	Theirs *Card
	// Terms say how they differ.
	Terms string
}

// Compare finds the checks of an upstream that another node lacks, and for each the one most like it that the other
// node has and this one lacks.
func Compare(ours, theirs []Card) (list []Difference) {
	lack := func(in []Card) func(Card) bool {
		return func(c Card) bool {
			return slices.ContainsFunc(in, func(other Card) bool { return other.ID == c.ID })
		}
	}
	mine := slices.DeleteFunc(slices.Clone(ours), lack(theirs))
	others := slices.DeleteFunc(slices.Clone(theirs), lack(ours))
	for i := range mine {
		d := Difference{Ours: &mine[i]}
		best := -1
		var fewest []string
		for k := range others {
			if terms := differing(mine[i].Terms, others[k].Terms); best < 0 || len(terms) < len(fewest) {
				best, fewest = k, terms
			}
		}
		if best >= 0 {
			theirs := others[best]
			d.Theirs, d.Terms = &theirs, strings.Join(fewest, ", ")
			others = slices.Delete(others, best, best+1)
		}
		list = append(list, d)
	}
	return list
}

// differing says how two checks differ.
func differing(ours, theirs []Term) (list []string) {
	valueOf := func(terms []Term, name string) (string, bool) {
		i := slices.IndexFunc(terms, func(t Term) bool { return t.Name == name })
		if i < 0 {
			return "not set", false
		}
		return terms[i].Value, true
	}
	for _, t := range ours {
		// Nodes cut a value at different lengths if others need the room.
		here := cut(t.Value, maxTermBytes)
		if there, _ := valueOf(theirs, t.Name); there != here && !sameCut(t.Value, there) {
			list = append(list, fmt.Sprintf("%s is %s on this node and %s there", t.Name, here, there))
		}
	}
	for _, t := range theirs {
		if here, isSet := valueOf(ours, t.Name); !isSet {
			list = append(list, fmt.Sprintf("%s is %s on this node and %s there", t.Name, here, t.Value))
		}
	}
	return list
}

// sameCut reports whether a text is what another node shows of a value.
func sameCut(value, shown string) bool {
	for longest := maxTermBytes; longest >= maxTermBytes/16; longest /= 2 {
		if cut(value, longest) == shown {
			return true
		}
	}
	return false
}
