package crash

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"starling/e2e/harness"
)

const cachingHTTP = `http {
	proxy_cache_path {{.Dir}}/disk/cache levels=1:2 keys_zone=pages:64k max_size=2m inactive=1h;
	server {
		listen {{.IP}}:8080;
		location / {
			proxy_pass ORIGIN;
			proxy_cache pages;
			proxy_cache_key $uri;
			proxy_cache_methods GET;
			proxy_cache_purge $http_x_purge;
			add_header X-Cache $upstream_cache_status;
		}
	}
}
`

// pages is a server whose pages say which they are in every few bytes: the key and a number that grows with each
// response.
type pages struct {
	*httptest.Server
	number [pageKeys]atomic.Int64
	// purged are the numbers up to which a purge of the page was acknowledged.
	purged [pageKeys]atomic.Int64
}

const pageKeys = 40

// pageBytes is the size of a page: some fit into memory, some do not.
func pageBytes(key int) int { return 1 + key*key*150 }

func newPages(t *testing.T) *pages {
	p := &pages{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil || key >= pageKeys {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		fmt.Fprint(w, page(key, p.number[key].Add(1)))
	}))
	t.Cleanup(p.Close)
	return p
}

func page(key int, number int64) string {
	word := fmt.Sprintf("<%d:%d>", key, number)
	return strings.Repeat(word, 1+pageBytes(key)/len(word))
}

// check compares a response with the page that it begins with. Its number must be that of a response that the server
// has sent, after the last purge that was acknowledged before the request.
func (p *pages) check(key int, purged int64, body string) error {
	var gotKey int
	var number int64
	if _, err := fmt.Sscanf(body, "<%d:%d>", &gotKey, &number); err != nil || gotKey != key || body != page(key, number) {
		return fmt.Errorf("page %d: %d bytes of something else: %.60q", key, len(body), body)
	}
	if number <= purged || number > p.number[key].Load() {
		return fmt.Errorf("page %d: number %d, purged up to %d, sent up to %d", key, number, purged, p.number[key].Load())
	}
	return nil
}

// visit asks for a page, or purges one now and then. A failed request is no response: the node is being killed.
func (p *pages) visit(n *harness.Node) error {
	key := rand.IntN(pageKeys)
	path := fmt.Sprint("/", key)
	if rand.IntN(20) == 0 {
		sent := p.number[key].Load()
		if r, err := n.Do("PURGE", path, "", "X-Purge", "1"); err == nil && (r.Status == 204 || r.Status == 404) {
			for old := p.purged[key].Load(); old < sent && !p.purged[key].CompareAndSwap(old, sent); old = p.purged[key].Load() {
			}
		}
		return nil
	}
	purged := p.purged[key].Load()
	r, err := n.Do("GET", path, "")
	if err != nil || r.Status != 200 {
		return nil
	}
	return p.check(key, purged, r.Body)
}

// TestCacheAfterKills: a node that is killed again and again while clients fill, read and purge its cache never sends a
// wrong byte, nor a page from before a purge. CACHE_KILLS is the number of kills.
func TestCacheAfterKills(t *testing.T) {
	kills := 8
	if text := os.Getenv("CACHE_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	p := newPages(t)
	n := harness.NewCluster(t, 1).Nodes[0]
	if err := os.Mkdir(n.Dir+"/disk", 0o755); err != nil {
		t.Fatal(err)
	}
	n.Configure(strings.Replace(cachingHTTP, "ORIGIN", p.URL, 1))
	hits := 0
	for range kills {
		n.Start()
		var done atomic.Bool
		var visits atomic.Int64
		enough := make(chan bool)
		until := 20 + rand.Int64N(200)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for !done.Load() {
					if err := p.visit(n); err != nil {
						t.Error(err)
					}
					if visits.Add(1) == until {
						close(enough)
					}
				}
			})
		}
		<-enough
		n.Kill()
		done.Store(true)
		clients.Wait()
		if t.Failed() {
			return
		}
	}
	n.Start()
	for key := range pageKeys {
		purged := p.purged[key].Load()
		r := n.Must("GET", fmt.Sprint("/", key), "")
		if err := p.check(key, purged, r.Body); err != nil {
			t.Error(err)
		}
		if r.Header.Get("X-Cache") == "HIT" {
			hits++
		}
	}
	if hits == 0 {
		t.Error("nothing has survived")
	}
	n.Quit()
	t.Logf("%d kills, then %d of %d pages from the cache", kills, hits, pageKeys)
}

// TestCacheOnAFullDisk: a response that does not fit on the disk reaches its client, and is stored once there is room.
func TestCacheOnAFullDisk(t *testing.T) {
	p := newPages(t)
	n := harness.NewCluster(t, 1).Nodes[0]
	n.Excused = "No space left on device"
	disk := smallDisk(n, "disk", 256)
	n.Configure(strings.Replace(cachingHTTP, "ORIGIN", p.URL, 1))
	n.Start()
	visit := func(key int, want string) {
		t.Helper()
		r := n.Must("GET", fmt.Sprint("/", key), "")
		if err := p.check(key, 0, r.Body); err != nil || r.Header.Get("X-Cache") != want {
			t.Errorf("page %d: %s, want %s (%v)", key, r.Header.Get("X-Cache"), want, err)
		}
	}
	visit(1, "MISS")
	visit(1, "HIT")
	full := fill(t, disk)
	for range 2 {
		visit(2, "MISS")
		visit(30, "MISS")
		visit(1, "HIT")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	visit(2, "MISS")
	visit(2, "HIT")
	n.WaitLog("the response is not stored in cache")
	n.Quit()
}
