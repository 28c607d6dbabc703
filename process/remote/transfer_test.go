package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// node is an API with an empty zone "z" that notes the keys in the order in which they come, and refuses some.
type node struct {
	*httptest.Server
	keys   []string
	refuse string // this key
	each   func() // runs when a pair was written
}

func newNode(t *testing.T) *node {
	n := &node{each: func() {}}
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"text":"no","code":"%s"}}`, code)
	}
	switch {
	case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/http/"):
		io.WriteString(w, `["z"]`)
	case r.Method == http.MethodPatch:
		fail(http.StatusNotFound, "KeyvalKeyNotFound")
	case r.Method == http.MethodPost:
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			fail(http.StatusBadRequest, "JsonError")
			return
		}
		for key := range body {
			if key == n.refuse {
				fail(http.StatusBadRequest, "KeyvalOutOfMemory")
				return
			}
			n.keys = append(n.keys, key)
		}
		n.each()
		w.WriteHeader(http.StatusCreated)
	default:
		fail(http.StatusNotFound, "PathNotFound")
	}
}

// load runs "keyval import z -" with a file.
func (n *node) load(ctx context.Context, file string) (out string, err error) {
	c := KeyvalCommand()
	var printed bytes.Buffer
	c.SetArgs([]string{"import", "z", "-", "--api", n.URL})
	c.SetIn(strings.NewReader(file))
	c.SetOut(&printed)
	c.SetErr(&printed)
	c.SilenceErrors, c.SilenceUsage = true, true
	err = c.ExecuteContext(ctx)
	return printed.String(), err
}

// many makes a file of so many pairs, whose keys are not in the order of the alphabet, and an end.
func many(n int, end string) (file string, keys []string) {
	var text strings.Builder
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%d", n-i))
		fmt.Fprintf(&text, `"k%d":"v",`, n-i)
	}
	return "{" + strings.TrimSuffix(text.String(), ",") + end, keys
}

// TestImportWritesInOrder: an error of the node ends the import, and the pairs before it are those that were written.
func TestImportWritesInOrder(t *testing.T) {
	file, keys := many(100, "}")
	n := newNode(t)
	if out, err := n.load(t.Context(), file); err != nil || out != "100 pairs written to zone z\n" {
		t.Errorf("%q, %v", out, err)
	}
	if !slices.Equal(n.keys, keys) {
		t.Errorf("written were %q", n.keys)
	}
	n.keys, n.refuse = nil, keys[37]
	_, err := n.load(t.Context(), file)
	if err == nil || !strings.HasPrefix(err.Error(), "-: key "+keys[37]+": ") ||
		!strings.HasSuffix(err.Error(), "; pairs written before: 37") {
		t.Error(err)
	}
	if !slices.Equal(n.keys, keys[:37]) {
		t.Errorf("written were %q", n.keys)
	}
}

// TestInterruptedImport: the request under way is finished, so the count is right.
func TestInterruptedImport(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	n := newNode(t)
	n.each = func() {
		if len(n.keys) == 5 {
			interrupt()
		}
	}
	file, keys := many(100, "}")
	_, err := n.load(ctx, file)
	if err == nil || err.Error() != "-: context canceled; pairs written before: 5" {
		t.Error(err)
	}
	if !slices.Equal(n.keys, keys[:5]) {
		t.Errorf("written were %q", n.keys)
	}
}

// TestMistakesInAFileChangeNothing: wherever the mistake is.
func TestMistakesInAFileChangeNothing(t *testing.T) {
	for end, want := range map[string]string{
		"":                 "not a JSON object of pairs: its end is missing",
		`,"x":`:            "key x: not a JSON object of pairs: its end is missing",
		`,"x":nonsense`:    "key x: not a JSON object of pairs: invalid character",
		`,"x" "y"}`:        "key x: not a JSON object of pairs: ",
		`,"x":null}`:       "key x: null is no value",
		`,"x":[1]}`:        "key x: a value must be a string, a number, or {",
		`,"x":true}`:       "key x: a value must be a string, a number, or {",
		"}{}":              "not a JSON object of pairs: something follows its end",
		",\"x\":\"\xff\"}": "not a JSON object of pairs: it is not UTF-8",
	} {
		n := newNode(t)
		file, _ := many(100, end)
		_, err := n.load(t.Context(), file)
		if err == nil || !strings.HasPrefix(err.Error(), "-: "+want) || !strings.HasSuffix(err.Error(), "; nothing was written") {
			t.Errorf("%s: got %v, want %s", end, err, want)
		}
		if len(n.keys) > 0 {
			t.Errorf("%s: written were %q", end, n.keys)
		}
	}
}

func TestImportsAreBounded(t *testing.T) {
	for file, want := range map[string]bool{`{"a":"1"}`: true, `{"a":"12"}`: false} {
		if _, err := readAllPairs(strings.NewReader(file), 9); (err == nil) != want {
			t.Errorf("%s of at most 9 bytes: %v", file, err)
		}
	}
}

// TestProgressIsForTerminals: a program gets no such line.
func TestProgressIsForTerminals(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 3)
	p.next = p.next.Add(-2 * progressEvery)
	p.show(1)
	p.end()
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
	p.out = &out // as if it were a terminal
	p.show(2)
	p.show(3) // too soon
	p.end()
	if got, want := out.String(), "\r2 of 3 pairs written\x1b[K\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
