package main

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
)

// cached is a duel with a cache in a folder of that name below the one of each contender, which outlives the duel.
// Everything is stored for an hour, whatever the server says; location has more lines.
func cached(folder string, bodyBytes int, httpLines, location string) duel {
	return duel{
		bodyBytes: bodyBytes,
		load:      load{request: same("/")},
		httpLine: "proxy_cache_path " + folder + " levels=1:2 keys_zone=c:64m inactive=1h use_temp_path=off; " +
			httpLines,
		locationLine: "proxy_cache c; proxy_cache_valid 1h; proxy_cache_key $request_uri; " +
			"proxy_ignore_headers Set-Cookie; " + location,
		serverLine: `location /plain { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://b; }`,
	}
}

// unlike returns requests that all have other keys.
func unlike() func(int, int) []byte {
	var next atomic.Int64
	return func(int, int) []byte {
		return fmt.Appendf(nil, "GET /?%d HTTP/1.1\r\nHost: bench\r\n\r\n", next.Add(1))
	}
}

// caches compares answers from a cache, and those that it lacks and then stores.
func (b *bench) caches() error {
	// The worker of nginx, which is nobody, must reach its folder.
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // it has nothing but configurations
		return err
	}
	for _, hit := range []struct {
		name, folder string
		bodyBytes    int
		http         string
	}{
		{"cache hit 1 KB, CPU us", "small", 1 << 10, ""},
		{"cache hit 1 MB, CPU us", "large", 1 << 20, ""},
		{"cache hit 1 MB with sendfile, CPU us", "large", 1 << 20, "sendfile on;"},
	} {
		if err := b.fight(hit.name, cached(hit.folder, hit.bodyBytes, hit.http, "")); err != nil {
			return err
		}
	}
	stored := cached("stored", 1<<10, "", "")
	stored.load.request = unlike()
	return b.fight("cache miss 1 KB, stored, CPU us", stored)
}

// misses compares requests that a cache lacks, and does not store because nobody asks for them again, with requests
// for which no cache is asked.
func (b *bench) misses() error {
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // as above
		return err
	}
	d := cached("missed", 1<<10, "", "proxy_cache_min_uses 2;")
	list, done, err := b.contenders(d)
	if err != nil {
		return err
	}
	defer done()
	// Each server contends with itself.
	plain := make([]*contender, len(list))
	for i, c := range list {
		plain[i] = &contender{name: c.name, at: c.at, process: c.process}
	}
	missing := d
	missing.load.request = unlike()
	d.load.request = same("/plain")
	type turn struct {
		c *contender
		d duel
	}
	var turns []turn
	for i := range list {
		turns = append(turns, turn{list[i], missing}, turn{plain[i], d})
	}
	for round := range b.rounds + 1 {
		for _, one := range turns {
			if err := one.c.turn(one.d, round > 0); err != nil { // the first round warms up
				return err
			}
		}
		slices.Reverse(turns)
	}
	const what = "cache miss 1 KB, not stored, CPU us"
	for i, c := range list {
		b.report.add(what+", "+c.name, median(slices.Clone(c.micros)))
		if c.name != "nginx" && list[0].name == "nginx" {
			b.report.add(what+", "+c.name+" / nginx", median(ratiosTo(c.micros, list[0].micros)))
		}
		b.report.add(what+", "+c.name+" / without a cache", median(ratiosTo(c.micros, plain[i].micros)))
	}
	return nil
}

// ratiosTo are the ratios of two figures, round by round.
func ratiosTo(of, to []float64) []float64 {
	ratios := make([]float64, len(of))
	for i := range ratios {
		ratios[i] = of[i] / to[i]
	}
	return ratios
}
