package securelink_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/securelink"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &securelink.Module, webtest.Say()}

func hash(text string) string {
	sum := md5.Sum([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestLinks(t *testing.T) {
	s := webtest.Start(t, modules, `
		secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri secret";
		server {
			location / { say "<$secure_link|$secure_link_expires>"; }
			location /undated { secure_link $arg_md5; secure_link_md5 "$uri secret"; say "<$secure_link|$secure_link_expires>"; }
			location /p/ { secure_link_secret word; say "<$secure_link>"; }
			location /half { secure_link_secret word; location /half/in { secure_link $arg_md5; say "<$secure_link>"; } }
		}`)
	now := s.Plan.Clock.Now().WallMS / 1000
	future, past := strconv.FormatInt(now+1000, 10), strconv.FormatInt(now-1000, 10)
	right := hash(future + "/a secret")
	hexOf := func(text string) string { sum := md5.Sum([]byte(text)); return hex.EncodeToString(sum[:]) }
	for target, want := range map[string]string{
		"/a?md5=" + right + "&expires=" + future:                "<1|" + future + ">",
		"/a?md5=" + right + "==&expires=" + future:              "<1|" + future + ">",
		"/a?md5=" + hash(past+"/a secret") + "&expires=" + past: "<0|" + past + ">",
		"/b?md5=" + right + "&expires=" + future:                "<|" + future + ">",
		"/a?md5=" + right[:21] + "&expires=" + future:           "<|" + future + ">",
		"/a?md5=" + right + "xxx&expires=" + future:             "<|" + future + ">",
		"/a?md5=" + hash("x/a secret") + "&expires=x":           "<|>",
		"/a?md5=" + hash("0/a secret") + "&expires=0":           "<|>",
		"/a?md5=" + hash("-5/a secret") + "&expires=-5":         "<|>",
		"/a?md5=" + hash("/a secret"):                           "<|>",
		"/a":                                                    "<|>",
		"/undated?md5=" + hash("/undated secret"):               "<1|>",
		"/undated?md5=" + hash("/undated secre"):                "<|>",
		"/p/" + hexOf("link/x.zip?aword") + "/link/x.zip?a":     "<link/x.zip?a>",
		"/p/" + strings.ToUpper(hexOf("linkword")) + "/link":    "<link>",
		"/p/" + hexOf("link/x.zipword") + "/link/y.zip":         "<>",
		"/p/" + hexOf("link/x.zipword")[:31] + "g/link/x.zip":   "<>",
		"/p/" + hexOf("word") + "/":                             "<>",
		"/p/link":                                               "<>",
		"/half/in?md5=" + hash("/half/in secret"):               "<>",
	} {
		if got := s.Get(target); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s\ngot  %s\nwant %s", target, got[max(0, len(got)-60):], want)
		}
	}
}

func TestMistakes(t *testing.T) {
	mixed := `"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5" in /test.conf:2`
	for text, want := range map[string]string{
		`secure_link_secret a; secure_link $arg_a;`:     mixed,
		`secure_link_md5 $arg_a; secure_link_secret a;`: mixed,
		`secure_link_secret a; secure_link_secret b;`:   `"secure_link_secret" directive is duplicate in /test.conf:2`,
	} {
		_, err := webtest.Load(t, modules, "server { location / {\n"+text+"\n} }")
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := webtest.Load(t, modules, "secure_link $arg_a; server { location / { secure_link_secret a; } }"); err != nil {
		t.Errorf("a secret within a block with a link: %v", err)
	}
}
