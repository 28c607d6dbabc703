package emptygif_test

import (
	"bytes"
	"image"
	_ "image/gif" // registers the decoder
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/emptygif"
	"starling/web"
	"starling/web/webtest"
)

func TestImage(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &emptygif.Module},
		"server { location / { empty_gif; empty_gif; location /below { } } }")
	head, body, _ := strings.Cut(s.Get("/x.gif"), "\r\n\r\n")
	for _, want := range []string{"200 OK", "\r\nContent-Type: image/gif", "\r\nContent-Length: 43",
		"\r\nLast-Modified: Mon, 28 Sep 1970 06:00:00 GMT"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in\n%s", want, head)
		}
	}
	picture, format, err := image.Decode(bytes.NewReader([]byte(body)))
	if err != nil || format != "gif" || picture.Bounds() != image.Rect(0, 0, 1, 1) {
		t.Fatalf("%v, %q, %v", picture, format, err)
	}
	if _, _, _, alpha := picture.At(0, 0).RGBA(); alpha != 0 {
		t.Errorf("alpha %d: the pixel is not transparent", alpha)
	}
	if got := s.Get("/below/x.gif"); strings.Contains(got, "GIF89a") {
		t.Errorf("a location inside inherits it:\n%q", got)
	}
	if got := s.Send("POST / HTTP/1.0\r\n\r\n"); !strings.Contains(got, "405 Not Allowed") {
		t.Error(got)
	}
	if got := s.Send("HEAD / HTTP/1.0\r\n\r\n"); !strings.Contains(got, "Content-Length: 43") || strings.Contains(got, "GIF89a") {
		t.Error(got)
	}
}
