package modules_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"starling/admin"
	"starling/plan"
	"starling/web/webtest"
)

// What a resource streams is sent while it is made, in chunks, and one that breaks off does not look whole.
func TestAPIStreams(t *testing.T) {
	s := webtest.Start(t, apiFamilies, apiText)
	catalog := plan.Part[admin.Catalog](s.Plan)
	written := 0
	catalog.Resources = append(s.Site.Resources(), admin.Resource{Path: "whole", Since: 1, Handle: func(*admin.Call) admin.Answer {
		return admin.Answer{Stream: func(w io.Writer) error {
			written++
			_, err := io.WriteString(w, `{"a":"1"}`)
			return err
		}}
	}}, admin.Resource{Path: "broken", Since: 1, Handle: func(*admin.Call) admin.Answer {
		return admin.Answer{Stream: func(w io.Writer) error {
			_, err := io.WriteString(w, `{"a":`)
			return errors.Join(err, errors.New("a mistake"))
		}}
	}})
	for _, c := range []struct{ method, path, want, not string }{
		{"GET", "whole", "\r\n\r\n9\r\n{\"a\":\"1\"}\r\n0\r\n\r\n", "Content-Length"},
		{"GET", "broken", "\r\n\r\n5\r\n{\"a\":\r\n", "\r\n0\r\n"},
		{"HEAD", "whole", "Content-Type: application/json", "\"a\""},
	} {
		got := s.Send(c.method + " /api/9/" + c.path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, c.want) || strings.Contains(got, c.not) || !strings.Contains(got, "no-cache") {
			t.Errorf("%s %s: %q", c.method, c.path, got)
		}
	}
	if written != 1 {
		t.Errorf("written %d times", written)
	}
}
