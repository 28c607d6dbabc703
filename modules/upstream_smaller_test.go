package modules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starling/web/webtest"
)

// TestAReloadMakesASharedUpstreamSmaller: servers whose changes have no room any more are those of the configuration at
// once, and not only after the next reload. The newest changes stay.
func TestAReloadMakesASharedUpstreamSmaller(t *testing.T) {
	const own = "server 127.0.0.1:1; server 127.0.0.2:1;"
	file := filepath.Join(t.TempDir(), "u.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(own, "; ", ";\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, servers := range map[string]string{"without a state": own, "with a state": "state STATE;"} {
		t.Run(name, func(t *testing.T) {
			load := func(size string, options ...webtest.Option) *webtest.Server {
				t.Helper()
				s, err := loadState(t, file, "upstream u { zone u "+size+" sync; "+servers+" }", options...)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := load("1m")
			long := func(i int) string { return fmt.Sprintf("unix:/%s%03d", strings.Repeat("x", 90), i) }
			calls := []string{"DELETE " + stateServers + "/0", "PATCH " + stateServers + `/1 {"down":true}`}
			const added = 80 // some 56 fit
			for i := range added {
				calls = append(calls, fmt.Sprintf(`POST %s {"server":%q}`, stateServers, long(i)))
			}
			for _, call := range calls {
				if got := askAPI(s, call); !strings.HasPrefix(got, "20") {
					t.Fatalf("%s: %s", call, got)
				}
			}
			if got, want := shownServers(t, s), "127.0.0.2:1 down changed, "+long(0)+" changed, "; !strings.HasPrefix(got, want) {
				t.Fatalf("%s, want %s", got, want)
			}
			smaller := load("32k", webtest.After(s))
			got := shownServers(t, smaller)
			left := strings.Count(got, "unix:")
			if left == 0 || left == added || !strings.Contains(got, long(added-1)+" changed") {
				t.Fatalf("%d servers are left: %s", left, got)
			}
			for _, text := range []string{", 127.0.0.1:1", "127.0.0.2:1, ", long(added-left) + " changed"} {
				if !strings.Contains(got, text) {
					t.Errorf("%q is not among %s", text, got)
				}
			}
			list := func(text string) []string { return slices.Sorted(slices.Values(strings.Split(text, ", "))) }
			again := shownServers(t, load("32k", webtest.After(smaller)))
			if !slices.Equal(list(again), list(got)) {
				t.Errorf("after another reload:\n%s, before:\n%s", again, got)
			}
		})
	}
}
