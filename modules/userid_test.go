package modules_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/rewrite"
	"starling/modules/web/userid"
	"starling/web"
	"starling/web/webtest"
)

var useridFamilies = []*web.Module{&core.Module, &userid.Module, &rewrite.Module, webtest.Say()}

// cookie sends a request and returns the cookie that was set, "" if none was, and the body.
func askUserID(s *webtest.Server, target, sent string) (set, body string) {
	if sent != "" {
		sent = "Cookie: " + sent + "\r\n"
	}
	got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + sent + "\r\n")
	return got.Header.Get("Set-Cookie"), got.Text
}

// expectNextID gets another identifier. The sequence is the process's: it begins at 0x03030302, and a test may run
// several times.
func expectNextID(t *testing.T, s *webtest.Server, last []byte) {
	t.Helper()
	set, _ := askUserID(s, "/", "")
	_, text, _ := strings.Cut(strings.TrimSuffix(set, "; path=/"), "=")
	id, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(id) != 16 || binary.BigEndian.Uint32(id[12:]) != binary.BigEndian.Uint32(last[12:])+0x100 {
		t.Errorf("the identifier after %x is %x, %v", last, id, err)
	}
}

func TestUserID(t *testing.T) {
	s := webtest.Start(t, useridFamilies, `server {
		location / { userid on; userid_service 258; say "$uid_got|$uid_set"; }
		location /v1 { userid v1; userid_name id; userid_service 258; say "$uid_set"; }
		location /log { userid log; say "$uid_got|$uid_set"; }
		location /off { say "$uid_got|$uid_set"; }
		location /full { userid on; userid_domain example.org; userid_path /x; userid_expires max; userid_flags secure samesite=lax httponly; userid_p3p "policy"; }
		location /mark { userid on; userid_mark A; }
		location /days { userid on; userid_expires 1d; }
		location /reset { userid on; set $uid_reset log; say "$uid_set"; }
	}`)
	set, body := askUserID(s, "/", "")
	name, text, _ := strings.Cut(strings.TrimSuffix(set, "; path=/"), "=")
	id, err := base64.StdEncoding.DecodeString(text)
	if name != "uid" || err != nil || len(id) != 16 || binary.BigEndian.Uint32(id) != 258 || binary.BigEndian.Uint32(id[12:]) < 0x03030302 || id[15] != 2 {
		t.Fatalf("%q: %x, %v", set, id, err)
	}
	shown := "uid="
	for i := range 4 {
		shown += fmt.Sprintf("%08X", binary.LittleEndian.Uint32(id[4*i:]))
	}
	if body != "|"+shown {
		t.Errorf("$uid_set: %q, want %q", body, shown)
	}
	expectNextID(t, s, id)
	own := "a=b; UID=" + text + "; c=d"
	for target, want := range map[string]string{"/": shown + "|", "/log": shown + "|", "/off": "|"} {
		if set, body := askUserID(s, target, own); set != "" || body != want {
			t.Errorf("%s with its cookie: sent %q, body %q, want %q", target, set, body, want)
		}
	}
	for _, bad := range []string{"uid=short", "uid=" + strings.Repeat("!", 24)} {
		if set, body := askUserID(s, "/", bad); set == "" || !strings.HasPrefix(body, "|uid=") {
			t.Errorf("%s: sent %q, body %q", bad, set, body)
		}
	}
	if set, body := askUserID(s, "/v1", ""); !strings.HasPrefix(set, "id=") || !strings.HasPrefix(body, "id=00000102") {
		t.Errorf("v1: %q, %q", set, body)
	}
	full := s.Client().Do("GET /full HTTP/1.1\r\nHost: a\r\n\r\n")
	if set := full.Header.Get("Set-Cookie"); !strings.HasSuffix(
		set,
		"; expires=Thu, 31-Dec-37 23:55:55 GMT; domain=example.org; path=/x; secure; httponly; samesite=lax",
	) ||
		full.Header.Get("P3P") != "policy" {
		t.Errorf("%q, %q", set, full.Header.Get("P3P"))
	}
	if set, _ := askUserID(s, "/days", ""); !strings.Contains(set, " GMT; path=/") {
		t.Errorf("expires: %q", set)
	}
	marked, _ := askUserID(s, "/mark", "uid="+text)
	if !strings.HasPrefix(marked, "uid="+text[:22]+"A=") {
		t.Errorf("mark: %q", marked)
	}
	if again, _ := askUserID(s, "/mark", "uid="+text[:22]+"A="); again != "" {
		t.Errorf("a marked cookie is sent again: %q", again)
	}
	if set, body := askUserID(s, "/reset", "uid="+text); set == "" || strings.Contains(set, text[:22]) || body == shown {
		t.Errorf("reset: %q", set)
	}
	log := strings.Join(s.Log.Lines(), "\n")
	for _, want := range []string{"client sent too short userid cookie \"short\"", "client sent invalid userid cookie \"!!!",
		"userid cookie \"" + shown + "\" was reset"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
	}
}

func TestUserIDMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"userid_mark ab;":          `value must be "off" or a single letter, digit or "="`,
		"userid maybe;":            `invalid value "maybe"`,
		"userid_flags secure x;":   `invalid value "x"`,
		"userid_expires tomorrow;": `"userid_expires" directive invalid value`,
	} {
		_, err := webtest.Load(t, useridFamilies, "\n"+text+" server { }")
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), " in /test.conf:2") {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
