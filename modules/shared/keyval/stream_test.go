package keyval

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"testing"

	"starling/admin"
)

// A big zone is shown while it is read: the answer begins at once and is never in memory as a whole.
func TestABigZoneIsStreamed(t *testing.T) {
	const pairs = 20_000
	p := start(t, "keyval_zone zone=one:8m; keyval_zone zone=two:32k;", nil)
	if got := call(p, "POST one "+manyPairs(pairs)); got != "201" {
		t.Fatal(got)
	}
	call(p, `POST two {"\"é":"1\n2"}`)
	var all map[string]map[string]string
	if err := json.Unmarshal([]byte(call(p, "GET ")), &all); err != nil || len(all) != 2 || all["two"]["\"é"] != "1\n2" {
		t.Fatalf("two is %v: %v", all["two"], err)
	}
	var one map[string]string
	if err := json.Unmarshal([]byte(call(p, "GET one")), &one); err != nil || !maps.Equal(one, all["one"]) {
		t.Errorf("alone it has %d pairs: %v", len(one), err)
	}
	if len(one) != pairs || one["key 7"] != "value 7" {
		t.Errorf("%d pairs, key 7 is %q", len(one), one["key 7"])
	}
	for _, step := range []struct{ call, want string }{
		{"GET one?fields=key%207,none", `{"key 7":"value 7"}`},
		{"GET ?fields=two", `{"two":{"\"é":"1\n2"}}`},
		{"GET ?fields=none", `{}`},
		{"GET one?key=key%207", `{"key 7":"value 7"}`},
		{"GET two", `{"\"é":"1\n2"}`},
	} {
		if got := call(p, step.call); got != step.want {
			t.Errorf("%s: %s", step.call, got)
		}
	}
	answer := Resources(p, "http")[0].Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
	pieces, longest := 0, 0
	allocated := testing.AllocsPerRun(1, func() {
		answer.Stream(pieceWriter(func(n int) error { pieces, longest = pieces+1, max(longest, n); return nil }))
	})
	if pieces < 2 || longest > 2*streamPieceBytes || allocated > 100 {
		t.Errorf("%d pieces of up to %d bytes, %.0f allocations", pieces, longest, allocated)
	}
	gone, after := errors.New("the client is gone"), 0
	if err := answer.Stream(pieceWriter(func(int) error { after++; return gone })); !errors.Is(err, gone) || after != 1 {
		t.Errorf("%d pieces for a client that is gone: %v", after, err)
	}
}

type pieceWriter func(n int) error

func (w pieceWriter) Write(p []byte) (int, error) { return len(p), w(len(p)) }

var _ io.Writer = pieceWriter(nil)
