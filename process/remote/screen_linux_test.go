package remote

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
)

// readUntil returns what the program has written once it has written the text.
func readUntil(t *testing.T, from *os.File, text string) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(all), text) {
		n, err := from.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q, want %q", err, all, text)
		}
		all = append(all, buf[:n]...)
	}
	return string(all)
}

// On a terminal, pages replace each other on a screen of their own, and q gives the first one back. In a dumb one, pages
// follow each other.
func TestTopOnTerminal(t *testing.T) {
	answers := map[string]string{
		"/api/9/stream/zone_sync/cluster": `{"node_id":"00000000000000a1","ready":true,"nodes_agree":true}`,
		"/api/9/http/server_zones":        `{"main":{"requests":3}}`,
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, known := answers[r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			body = `{"error":{"code":"PathNotFound","text":"path not found"}}`
		}
		fmt.Fprint(w, body)
	}))
	defer node.Close()
	user, program := testkit.Terminal(t, 12, 60)
	defer func(f *os.File) { os.Stdin = f }(os.Stdin)
	os.Stdin = program
	run := func(name string, count int) chan error {
		t.Setenv("TERM", name)
		api, err := (&access{api: node.URL}).client()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- newTop(api, program).run(context.Background(), time.Millisecond, count) }()
		return done
	}
	done := run("xterm", 0)
	page := readUntil(t, user, "more lines"+restOfLine+restOfPage)
	if !strings.HasPrefix(page, otherScreen+toStart) || !strings.Contains(page, "node 00000000000000a1 sees it") {
		t.Errorf("the first page is %q", page)
	}
	if _, err := user.WriteString("xq"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, user, firstScreen)
	if err := <-done; err != nil {
		t.Error(err)
	}
	done = run("dumb", 1)
	if page := readUntil(t, user, "main "); strings.Contains(page, "\x1b") {
		t.Errorf("a dumb terminal gets %q", page)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
