package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/lib/resolver"
	"starling/lib/resolver/resolvertest"

	"github.com/miekg/dns"
)

func start(t *testing.T, config resolver.Config) (*resolver.Resolver, *resolvertest.Server) {
	t.Helper()
	server := resolvertest.Start(t)
	config.Servers = append(config.Servers, server.Addr)
	if !config.IPv4 && !config.IPv6 {
		config.IPv4, config.IPv6 = true, true
	}
	r, err := resolver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return r, server
}

func sorted(addrs []netip.Addr) string {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return fmt.Sprint(addrs)
}

func TestLookup(t *testing.T) {
	r, server := start(t, resolver.Config{})
	server.Host("two.example", 60, "10.0.0.1", "10.0.0.2")
	server.Host("both.example", 60, "10.0.0.1", "2001:db8::1")
	server.Host("six.example", 60, "2001:db8::1")
	server.Records("alias.example", "alias.example. 30 IN CNAME two.example.")
	server.Records("whole.example", "whole.example. 20 IN CNAME x.example.", "x.example. 10 IN A 10.0.0.9")
	server.Records("loop.example", "loop.example. 20 IN CNAME loop2.example.")
	server.Records("loop2.example", "loop2.example. 20 IN CNAME loop.example.")
	server.Records("text.example", `text.example. 20 IN TXT "no address"`)
	server.Fail("broken.example", dns.RcodeServerFailure)
	server.Fail("refused.example", dns.RcodeRefused)
	server.Records("half.example", "half.example. 60 IN A 10.0.0.1")
	server.FailType("half.example", dns.TypeAAAA, dns.RcodeServerFailure)
	server.Records("other.example", "other.example. 60 IN A 10.0.0.1")
	server.FailType("other.example", dns.TypeAAAA, dns.RcodeNameError)
	for _, c := range []struct {
		name, want string
		ttl        time.Duration
	}{
		{"two.example", "[10.0.0.1 10.0.0.2]", 60 * time.Second},
		{"TWO.example.", "[10.0.0.1 10.0.0.2]", 60 * time.Second},
		{"both.example", "[10.0.0.1 2001:db8::1]", 60 * time.Second},
		{"six.example", "[2001:db8::1]", 60 * time.Second},
		{"alias.example", "[10.0.0.1 10.0.0.2]", 30 * time.Second},
		{"whole.example", "[10.0.0.9]", 10 * time.Second},
		{"10.1.2.3", "[10.1.2.3]", time.Hour},
		{"half.example", "half.example could not be resolved (2: Server failure)", 0},
		{"other.example", "[10.0.0.1]", 60 * time.Second},
		{"missing.example", "missing.example could not be resolved (3: Host not found)", 0},
		{"text.example", "text.example could not be resolved (3: Host not found)", 0},
		{"broken.example", "broken.example could not be resolved (2: Server failure)", 0},
		{"refused.example", "refused.example could not be resolved (5: Operation refused)", 0},
		{"loop.example", "loop.example could not be resolved (3: Host not found): more than 50 aliases", 0},
		{"no..name", "no..name could not be resolved (3: Host not found): not a domain name", 0},
	} {
		addrs, valid, err := r.Lookup(t.Context(), c.name)
		got := sorted(addrs)
		if err != nil {
			got = err.Error()
		}
		if got != c.want || valid > c.ttl {
			t.Errorf("%s: %s valid %v, want %s valid %v", c.name, got, valid, c.want, c.ttl)
		}
		if want := strings.Contains(c.want, "(3:"); errors.Is(err, resolver.ErrNotFound) != want {
			t.Errorf("%s: ErrNotFound is %v", c.name, !want)
		}
	}
}

// An alias of one type of address stands for both; what has an address of its own needs no alias.
func TestAliasesCountForBothTypes(t *testing.T) {
	r, server := start(t, resolver.Config{})
	server.Host("both.example", 60, "10.0.0.1", "2001:db8::1")
	server.Records("alias.example", "alias.example. 30 IN CNAME both.example.")
	addrs, _, err := r.Lookup(t.Context(), "alias.example")
	if err != nil || fmt.Sprint(addrs) != "[10.0.0.1 2001:db8::1]" { // fresh answers come IPv4 first
		t.Error(addrs, err)
	}
	if n := server.Asked("both.example"); n != 2 {
		t.Errorf("the alias was asked for %d times", n)
	}
}

func TestCacheAndOverride(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.Host("a.example", 60, "10.0.0.1")
	for range 3 {
		if _, _, err := r.Lookup(t.Context(), "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Asked("a.example"); n != 1 {
		t.Errorf("asked %d times within the record's life", n)
	}
	server.Host("b.example", 0, "10.0.0.1")
	for range 3 {
		if _, valid, err := r.Lookup(t.Context(), "b.example"); err != nil || valid != 0 {
			t.Fatal(valid, err)
		}
	}
	if n := server.Asked("b.example"); n != 3 {
		t.Errorf("asked %d times for a record without life, want 3", n)
	}
	o, server := start(t, resolver.Config{IPv4: true, ValidOverride: time.Minute})
	server.Host("b.example", 0, "10.0.0.1")
	for range 3 {
		if _, valid, err := o.Lookup(t.Context(), "b.example"); err != nil || valid > time.Minute || valid < time.Second {
			t.Fatal(valid, err)
		}
	}
	if n := server.Asked("b.example"); n != 1 {
		t.Errorf("asked %d times within valid=", n)
	}
}

func TestOneQuestionForManyCallers(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.Host("a.example", 60, "10.0.0.1")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, _, err := r.Lookup(t.Context(), "a.example"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := server.Asked("a.example"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestTruncatedAnswersComeOverTCP(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.TruncateUDP()
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprintf("10.0.0.%d", i))
	}
	server.Host("many.example", 60, want...)
	addrs, _, err := r.Lookup(t.Context(), "many.example")
	if err != nil || len(addrs) != 60 {
		t.Fatal(len(addrs), err)
	}
}

func TestNextServerAfterFailure(t *testing.T) {
	bad := resolvertest.Start(t)
	bad.Fail("a.example", dns.RcodeServerFailure)
	r, good := start(t, resolver.Config{Servers: []string{bad.Addr}, IPv4: true})
	good.Host("a.example", 0, "10.0.0.1")
	for range 4 {
		if _, _, err := r.Lookup(t.Context(), "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	if bad.Asked("a.example") == 0 || good.Asked("a.example") != 4 {
		t.Errorf("asked the bad server %d times, the good one %d", bad.Asked("a.example"), good.Asked("a.example"))
	}
}

func TestTimeout(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true, Timeout: 50 * time.Millisecond})
	server.Silence("a.example")
	_, _, err := r.Lookup(t.Context(), "a.example")
	var failure *resolver.Error
	if !errors.As(err, &failure) || failure.Code != resolver.TimedOut {
		t.Fatal(err)
	}
	if !strings.HasPrefix(err.Error(), "a.example could not be resolved (110: Operation timed out)") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Lookup(ctx, "a.example"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestStrangersCannotFillTheCache asks for more names than are kept.
func TestStrangersCannotFillTheCache(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true, ValidOverride: time.Hour})
	if testing.Short() {
		t.Skip("asks for 10,000 names")
	}
	const names = 10_000
	for i := range names + 500 {
		name := fmt.Sprintf("n%d.example", i)
		server.Host(name, 60, "10.0.0.1")
		if _, _, err := r.Lookup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Names(); n > names {
		t.Errorf("%d names are kept", n)
	}
}

func TestLookupSRV(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.Records("_http._tcp.example", "_http._tcp.example. 60 IN SRV 1 5 8080 a.example.", "_http._tcp.example. 60 IN SRV 2 1 8081 b.example.",
		"_http._tcp.example. 60 IN SRV 1 1 8082 gone.example.")
	server.Host("a.example", 30, "10.0.0.1", "10.0.0.2")
	server.Host("b.example", 90, "10.0.0.3")
	targets, valid, err := r.LookupSRV(t.Context(), "http", "example")
	if err != nil || valid > 30*time.Second {
		t.Fatal(valid, err)
	}
	var got []string
	for _, s := range targets {
		got = append(got, fmt.Sprintf("%s:%d p%d w%d %s %v", s.Target, s.Port, s.Priority, s.Weight, sorted(s.Addrs), s.Err))
	}
	want := []string{"a.example:8080 p1 w5 [10.0.0.1 10.0.0.2] <nil>", "b.example:8081 p2 w1 [10.0.0.3] <nil>",
		"gone.example:8082 p1 w1 [] gone.example could not be resolved (3: Host not found)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	server.Records("_alias._tcp.example", "_alias._tcp.example. 20 IN CNAME _http._tcp.example.")
	if targets, valid, err = r.LookupSRV(t.Context(), "alias", "example"); err != nil || len(targets) != 3 || valid > 20*time.Second {
		t.Errorf("of an alias: %v, %v, %v", targets, valid, err)
	}
	_, _, err = r.LookupSRV(t.Context(), "smtp", "example")
	if err == nil || err.Error() != "service smtp of example could not be resolved (3: Host not found)" {
		t.Error(err)
	}
}

func TestCounters(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.Host("a.example", 0, "10.0.0.1")
	server.Fail("broken.example", dns.RcodeServerFailure)
	for _, name := range []string{"a.example", "a.example", "missing.example", "broken.example"} {
		_, _, _ = r.Lookup(t.Context(), name)
	}
	got := r.Counters.Report()
	if got.Requests.Name != 4 || got.Responses.NoError != 2 || got.Responses.NXDomain != 1 || got.Responses.ServFail != 1 {
		t.Errorf("%+v", got)
	}
	r.Counters.Reset()
	if got := r.Counters.Report(); got != (resolver.Report{}) {
		t.Errorf("after reset %+v", got)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		config resolver.Config
		want   string
	}{
		{resolver.Config{IPv4: true}, "no name servers"},
		{resolver.Config{IPv4: true, Servers: []string{"ns.example:53"}}, `name server "ns.example:53"`},
		{resolver.Config{Servers: []string{"127.0.0.1:53"}}, `"ipv4" and "ipv6" cannot both be "off"`},
	} {
		if _, err := resolver.New(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}

// TestForgottenNamesAreAskedAnew, before their answer expires.
func TestForgottenNamesAreAskedAnew(t *testing.T) {
	r, server := start(t, resolver.Config{IPv4: true})
	server.Host("members.example", 60, "10.0.0.1")
	for _, c := range []struct {
		forget string
		want   string
	}{{"other.example", "[10.0.0.1]"}, {"other.example", "[10.0.0.1]"}, {"MEMBERS.example.", "[10.0.0.2]"}} {
		r.Forget(c.forget)
		addrs, _, err := r.Lookup(t.Context(), "members.example")
		if got := sorted(addrs); err != nil || got != c.want {
			t.Errorf("after forgetting %s: %s, %v, want %s", c.forget, got, err, c.want)
		}
		server.Host("members.example", 60, "10.0.0.2")
	}
}
