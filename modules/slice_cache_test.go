package modules_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"starling/web/webtest"
)

// sliceClient speaks one version of HTTP with a server.
type sliceClient struct {
	t testing.TB
	*http.Client
}

func newSliceClient(t testing.TB, s *webtest.Server, http2 bool) *sliceClient {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.DialLoopback(), nil }}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &sliceClient{t, &http.Client{Transport: transport}}
}

// do answers with the parts of the response that a range or a condition decides: "STATUS Content-Range
// Content-Length: BODY". A request is "METHOD|Header: value|…".
func (c *sliceClient) do(path, request string) string {
	c.t.Helper()
	lines := strings.Split(request, "|")
	r, err := http.NewRequest(lines[0], "http://a"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := c.Do(r)
	if err != nil {
		c.t.Errorf("%s %s: %v", path, request, err)
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Errorf("%s %s: %v", path, request, err)
	}
	switch {
	case response.StatusCode >= 400:
		body = nil // an error page
		response.ContentLength = 0
	case response.StatusCode == 304: // net/http has a value of its own for each version
		response.ContentLength = 0
	}
	return sliceAnswer(response.StatusCode, response.Header.Get("Content-Range"), response.ContentLength, string(body))
}

func sliceAnswer(status int, contentRange string, length int64, body string) string {
	if len(body) > 100 {
		body = fmt.Sprintf("%d bytes %.8x", len(body), sha256.Sum256([]byte(body)))
	}
	return fmt.Sprintf("%d %s %d: %s", status, contentRange, length, body)
}

// numbered is a text of n bytes without two equal parts.
func numbered(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i += 8 {
		fmt.Fprintf(&b, "%07d ", i)
	}
	return b.String()[:n]
}

const sliceCacheConf = `proxy_cache_path cache keys_zone=z:1m; server { http2 on; location / {
	slice %d; proxy_pass http://%s; proxy_set_header Range $slice_range; proxy_http_version 1.1;
	proxy_cache %s; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h; } }`

// TestSlicesFromCache: a client gets the same ranges of a response in slices, whether the cache has none of the slices,
// some, or all, in memory or in files.
func TestSlicesFromCache(t *testing.T) {
	for _, test := range []struct{ slice, size int }{
		{10, 95}, {1000, 4500}, {1000, 4000}, {70_000, 250_000}, {100_000, 50_000},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes of %d, HTTP/2 %v", test.slice, test.size, http2), func(t *testing.T) {
				text := numbered(test.size)
				b := sliceBackend(t, text, nil)
				s := webtest.Start(t, sliceFamilies, fmt.Sprintf(sliceCacheConf, test.slice, b.Addr, "z"))
				c := newSliceClient(t, s, http2)
				for i, wanted := range sliceSpans(test.slice, test.size) {
					for _, method := range []string{"GET", "HEAD"} {
						request, want := method+"|Range: bytes="+wanted, sliceWant(method, text, wanted)
						path := fmt.Sprintf("/%s%d", method, i)
						for _, state := range []string{"no slice", "the slices of the range"} {
							if got := c.do(path, request); got != want {
								t.Errorf("%s stored, %s\ngot  %s\nwant %s", state, request, got, want)
							}
						}
						whole := sliceAnswer(200, "", int64(len(text)), text)
						if got := c.do(path, "GET"); got != whole {
							t.Errorf("after %s\ngot  %s\nwant %s", request, got, whole)
						}
						b.ranges()
						if got := c.do(path, request); got != want {
							t.Errorf("all stored, %s\ngot  %s\nwant %s", request, got, want)
						}
						if asked := b.ranges(); asked != "" {
							t.Errorf("all stored, %s: the server was asked for %s", request, asked)
						}
					}
				}
			})
		}
	}
}

// sliceSpans are ranges within, at and across the borders of the slices.
func sliceSpans(slice, size int) []string {
	at := func(first, last int) string { return fmt.Sprintf("%d-%d", first, last) }
	spans := []string{at(0, 0), at(0, size-1), at(1, size), "0-", "-1", "-5", at(size-1, size-1), fmt.Sprint(size/2, "-"),
		fmt.Sprint("-", size/2), fmt.Sprint("-", 2*size), at(size/3, size/3+1), at(size/4, size-2), "0-0,5-6", "-1,0-0"}
	if slice < size {
		spans = append(spans, at(0, slice-1), at(slice, slice), at(slice-1, slice), at(slice, 2*slice-1), at(slice+1, 3*slice),
			fmt.Sprint(slice, "-"))
	}
	return spans
}

// sliceWant is the response to a range that is in the text; several ranges get the whole, as in nginx.
func sliceWant(method, text, wanted string) string {
	first, last := 0, len(text)-1
	from, to, _ := strings.Cut(wanted, "-")
	switch n, _ := strconv.Atoi(to); {
	case strings.Contains(wanted, ","):
		if method == "HEAD" {
			return sliceAnswer(200, "", int64(len(text)), "")
		}
		return sliceAnswer(200, "", int64(len(text)), text)
	case from == "":
		first = max(len(text)-n, 0)
	case to != "":
		last = min(last, n)
		fallthrough
	default:
		first, _ = strconv.Atoi(from)
	}
	part := text[first : last+1]
	length := int64(len(part))
	if method == "HEAD" {
		part = ""
	}
	return sliceAnswer(206, fmt.Sprintf("bytes %d-%d/%d", first, last, len(text)), length, part)
}

// TestConditionsOfSlicesFromCache: the client's conditions apply to the whole, as they do to a response that is stored
// in one piece. Without a cache they are not looked at, as in nginx.
func TestConditionsOfSlicesFromCache(t *testing.T) {
	const text, modified = "0123456789abcdef", "Fri, 02 Jan 2026 03:04:05 GMT"
	whole, notModified, failed := sliceAnswer(200, "", 16, text), sliceAnswer(304, "", 0, ""), sliceAnswer(412, "", 0, "")
	for i, c := range []struct{ request, want string }{
		{`GET|If-None-Match: "a"`, notModified},
		{`GET|If-None-Match: "b"`, whole},
		{`GET|If-None-Match: *`, notModified},
		{`GET|If-Modified-Since: ` + modified, notModified},
		{`GET|If-Modified-Since: Fri, 02 Jan 2026 03:04:04 GMT`, whole},
		{`GET|If-Match: "a"`, whole},
		{`GET|If-Match: "b"`, failed},
		{`GET|If-Unmodified-Since: ` + modified, whole},
		{`GET|If-Unmodified-Since: Fri, 02 Jan 2026 03:04:04 GMT`, failed},
		{`HEAD|If-None-Match: "a"`, notModified},
		{`HEAD|If-Match: "b"`, failed},
		{`GET|If-None-Match: "a"|Range: bytes=9-10`, notModified},
		{`GET|If-None-Match: "b"|Range: bytes=9-10`, sliceAnswer(206, "bytes 9-10/16", 2, "9a")},
		{`GET|If-Match: "b"|Range: bytes=9-10`, failed},
		{`GET|If-Range: "a"|Range: bytes=9-10`, sliceAnswer(206, "bytes 9-10/16", 2, "9a")},
		{`GET|If-Range: "b"|Range: bytes=9-10`, whole},
		{`GET|If-Range: ` + modified + `|Range: bytes=-3`, sliceAnswer(206, "bytes 13-15/16", 3, "def")},
		{`GET|If-Range: "a"|Range: bytes=16-`, sliceAnswer(416, "bytes */16", 0, "")},
		{`GET|Range: bytes=16-`, sliceAnswer(416, "bytes */16", 0, "")},
	} {
		b := sliceBackend(t, text, nil)
		b.modified = modified
		s := webtest.Start(t, sliceFamilies, fmt.Sprintf(sliceCacheConf, 4, b.Addr, "z"))
		client, path := newSliceClient(t, s, i%2 == 1), fmt.Sprint("/", i)
		for _, state := range []string{"no slice", "some slices"} {
			if got := client.do(path, c.request); got != c.want {
				t.Errorf("%s stored, %s\ngot  %s\nwant %s", state, c.request, got, c.want)
			}
		}
		if got := client.do(path, "GET"); got != whole {
			t.Errorf("after %s: %s", c.request, got)
		}
		if got := client.do(path, c.request); got != c.want {
			t.Errorf("all slices stored, %s\ngot  %s\nwant %s", c.request, got, c.want)
		}
	}
}

// TestConditionsOfSlicesWithoutCache: a response that is not stored is sent whatever the conditions.
func TestConditionsOfSlicesWithoutCache(t *testing.T) {
	b := sliceBackend(t, "0123456789abcdef", nil)
	s := webtest.Start(t, sliceFamilies, fmt.Sprintf(sliceCacheConf, 4, b.Addr, "off"))
	want := sliceAnswer(200, "", 16, b.text)
	if got := newSliceClient(t, s, false).do("/", `GET|If-None-Match: "a"`); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
