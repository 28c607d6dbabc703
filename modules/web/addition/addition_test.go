package addition_test

import (
	"bytes"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/web/addition"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// loud is a family whose filter turns texts into upper case if its directive is there, and holds back the last byte of a
// piece until more follows, as filters that search do.
func loud(joint bool) *web.Module {
	type settings struct{ on bool }
	return &web.Module{
		Module: conf.Module{Name: "loud", New: conf.NewOf[settings], Clone: conf.CloneOf[settings],
			Directives: []conf.Directive{
				{Name: "loud", In: conf.Location, Set: conf.Raw(func(s *settings, _ *conf.Args) error { s.on = true; return nil })},
			}},
		Filters: []web.FilterHook{{Joint: joint, Build: func(b *web.Block) (web.Filter, error) {
			if !conf.SettingsOf[settings](b.Scope).on {
				return nil, nil
			}
			return func(r *web.Request) web.Body { r.Out.ContentLength = -1; return &shouting{} }, nil
		}}},
	}
}

type shouting struct{ held []byte }

func (s *shouting) Write(next web.Next, p []byte, last bool) error {
	text := append(s.held, bytes.ToUpper(p)...)
	keep := min(1, len(text))
	if last {
		keep = 0
	}
	s.held = append([]byte{}, text[len(text)-keep:]...)
	return next.Write(text[:len(text)-keep], last)
}

func (s *shouting) Flush(next web.Next) error { return next.Flush() }

// typed answers with a text as text/html, in two pieces.
func typed() *web.Module {
	type settings struct{ text string }
	return &web.Module{
		Module: conf.Module{Name: "typed", New: conf.NewOf[settings], Clone: conf.CloneOf[settings],
			Directives: []conf.Directive{{Name: "html", Syntax: "<text>", In: conf.Location,
				Set: conf.Field(func(s *settings) *string { return &s.text }, conf.String)}}},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			text := conf.SettingsOf[settings](b.Scope).text
			if text == "" {
				return nil, nil
			}
			return func(r *web.Request) web.Result {
				r.Out.Status, r.Out.ContentType, r.Out.ContentLength = 200, []byte("text/html"), int64(len(text))
				r.SetHeader([]byte("ETag"), []byte(`"tag"`))
				for _, p := range []string{text[:1], text[1:]} {
					if _, err := r.Write([]byte(p)); err != nil {
						return web.Done
					}
				}
				return web.Done
			}, nil
		}}},
	}
}

const config = `
	location /before { html <before; }
	location /after { html after>; }
	location /loud-part { loud; html part; }
	location /failing { }`

func TestParts(t *testing.T) {
	for _, joint := range []bool{false, true} {
		s := webtest.Start(t, []*web.Module{&core.Module, &addition.Module, typed(), loud(joint)}, `server { `+config+`
			location /both { add_before_body /before; add_after_body /after; html page; }
			location /first { add_before_body /before; html page; }
			location /last { add_after_body /after; html page; }
			location /loud { add_before_body /before; add_after_body /after; loud; html page; }
			location /mixed { add_before_body /loud-part; html page; }
			location /missing { add_after_body /failing; html page; }
			location /none { add_before_body ""; html page; }
			location /nested { add_before_body /both; html page; }
			location /image { addition_types image/*; add_after_body /after; html page; }
		}`)
		loudOwn, loudPart := "<beforePAGEafter>", "PARTpage"
		if joint {
			loudOwn, loudPart = "<BEFOREPAGEAFTER>", "partpage"
		}
		for path, want := range map[string]string{
			"/both": "<beforepageafter>", "/first": "<beforepage", "/last": "pageafter>",
			"/loud": loudOwn, "/mixed": loudPart, "/none": "page", "/nested": "pagepage",
			"/image": "pageafter>",
		} {
			if got := s.Client().Do("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); got.Text != want {
				t.Errorf("joint %v, %s: got %q, want %q", joint, path, got.Text, want)
			}
		}
		if got := s.Client().Do("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n").Text; !strings.HasPrefix(got, "page<html>") ||
			!strings.Contains(got, "404 Not Found</h1>") {
			t.Errorf("an error page as part: %s", got)
		}
		head := s.Get("/both")
		if !strings.Contains(head, "ETag: W/\"tag\"\r\n") || strings.Contains(head, "Content-Length") {
			t.Errorf("head: %s", head)
		}
		if got := s.Send("HEAD /both HTTP/1.0\r\n\r\n"); strings.Contains(got, "page") {
			t.Errorf("HEAD: %s", got)
		}
	}
}
