package forward_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/web/webtest"
)

// TestUpstreamVariablesWithoutAProxy: a log format with $upstream_addr is common where no location forwards anything.
// Requests at the same time evaluate it; none may change what the configuration keeps.
func TestUpstreamVariablesWithoutAProxy(t *testing.T) {
	with := append(slices.Clone(modules), &rewrite.Module, &upstream.Module)
	s := webtest.Start(t, with, `server { location / { return 200 "[$upstream_addr$proxy_host]"; } }`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := s.Get("/"); !strings.HasSuffix(got, "[]") {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
}
