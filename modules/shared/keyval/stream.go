package keyval

import (
	"io"
	"strings"

	"starling/admin"
	"starling/lib/clock"
	"starling/zone/kinds"
)

const (
	// streamedFrom is the memory in use from which on a zone is streamed while it is read, unordered. Smaller zones are
	// sent in the order of keys, with a Content-Length.
	streamedFrom = 1 << 20
	// streamPieceBytes is the size of one write.
	streamPieceBytes = 32 << 10
)

func (z *Zone) big() bool { return z.Stats().Bytes > streamedFrom }

// fieldSet are the names in ?fields=; nil means all.
type fieldSet map[string]bool

func (f fieldSet) has(name []byte) bool { return f == nil || f[string(name)] }

func wantedFields(call *admin.Call) fieldSet {
	names := call.Query.Get("fields")
	if names == "" {
		return nil
	}
	set := fieldSet{}
	for name := range strings.SplitSeq(names, ",") {
		set[name] = true
	}
	return set
}

// stream writes all zones.
func (b *branch) stream(w io.Writer, wanted fieldSet, now clock.Reading) error {
	before := "{"
	for _, z := range b.zones {
		if !wanted.has([]byte(z.Name)) {
			continue
		}
		if _, err := w.Write(append(kinds.AppendQuoted([]byte(before), []byte(z.Name)), ':')); err != nil {
			return err
		}
		if err := z.stream(w, nil, now); err != nil {
			return err
		}
		before = ","
	}
	if before == "{" {
		_, err := io.WriteString(w, "{}")
		return err
	}
	_, err := io.WriteString(w, "}")
	return err
}

// stream writes the pairs, in little memory for any number of them.
func (z *Zone) stream(w io.Writer, wanted fieldSet, now clock.Reading) error {
	out := append(make([]byte, 0, streamPieceBytes+1024), '{')
	more := false
	for pair := range z.Visit(now) {
		if !wanted.has(pair.Key) {
			continue
		}
		if more {
			out = append(out, ',')
		}
		more = true
		out = append(kinds.AppendQuoted(out, pair.Key), ':')
		out = kinds.AppendQuoted(out, pair.Value)
		if len(out) >= streamPieceBytes {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	_, err := w.Write(append(out, '}'))
	return err
}
