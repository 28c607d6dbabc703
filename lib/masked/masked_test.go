package masked

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestPasswords(t *testing.T) {
	for text, want := range map[string]string{
		`invalid port in upstream "user:secret@host"`:        `invalid port in upstream "user:***@host"`,
		`"http://user:secret@host:80/a" is wrong`:            `"http://user:***@host:80/a" is wrong`,
		`proxy_pass https://u:p@ss@host/x in a.conf:1`:       `proxy_pass https://u:***@host/x in a.conf:1`,
		`http://u:se/cret@host`:                              `http://u:***@host`,
		`http://u:se:cret@host and http://v:other@[::1]:80/`: `http://u:***@host and http://v:***@[::1]:80/`,
		`http://:secret@host`:                                `http://:***@host`,
		`http://user@host:80/`:                               `http://user@host:80/`,
		`http://host:80/@x`:                                  `http://host:80/@x`,
		`http://host:80/a`:                                   `http://host:80/a`,
		`location @named:x is duplicate`:                     `location @named:x is duplicate`,
		`server=u:secret@h,tag=x`:                            `server=u:***@h,tag=x`,
		`admin@example.com in /etc/a.conf:7`:                 `admin@example.com in /etc/a.conf:7`,
		`http://u:12345@host/`:                               `http://u:***@host/`,
		``:                                                   ``,
		`host not found in upstream "http://user:se cret@host/a b" in a.conf:1`: `host not found in upstream "http://user:***@host/a b" in a.conf:1`,
		`"http://u: secret@h" and "http://v: other@h"`:                          `"http://u:***@h" and "http://v:***@h"`,
		`invalid port in upstream "u:a long	secret@host"`:                       `invalid port in upstream "u:***@host"`,
		`"set $x 'http://u:s e@h'" directive`:                                   `"set $x 'http://u:***@h'" directive`,
		`invalid value "http://u:se"cret@host", it must be "on"`:                `invalid value "http://u:***@host", it must be "on"`,
		`invalid value "http://u:se" cret@host"`:                                `invalid value "http://u:***@host"`,
		`invalid value 'http://u:se'cret@host'`:                                 `invalid value 'http://u:***@host'`,
		`unterminated "http://u:sec ret@host`:                                   `unterminated "http://u:***@host`,
		`"a" or "http://u:p@h" or "b"`:                                          `"a" or "http://u:***@h" or "b"`,
		`"a " or "u:p@h"`:                                                       `"a " or "u:***@h"`,
		`server="u:se cret@h"`:                                                  `server="u:***@h"`,
		`http://us@er:secret@host/`:                                             `http://us@er:***@host/`,
		`us@er:secret@host`:                                                     `us@er:***@host`,
		`http://u:sec%40ret@host`:                                               `http://u:***@host`,
		`"u:secret%40host"`:                                                     `"u:***%40host"`,
		`http://u%3Asecret@host`:                                                `http://u%3A***@host`,
		`http://x/?to=http%3A%2F%2Fu%3Asecret%40host`:                           `http://x/?to=http%3A%2F%2Fu%3A***%40host`,
		`http://a:80/?to=http://u:secret@host`:                                  `http://a:80/?to=http://u:***@host`,
		`to=http%3A%2F%2Fu%3Asecret%40host`:                                     `to=http%3A%2F%2Fu%3A***%40host`,
		`http://u:se/cret@host and u:se/cret@host`:                              `http://u:***@host and u:***@host`,
		`u:sec//ret@host`:                                                       `u:***@host`,
		`u:se,cret@host`:                                                        `u:***@host`,
		`/etc/x/u:secret@host`:                                                  `/etc/x/u:***@host`,
		`http://u:secret@[2001:db8::1]:80/`:                                     `http://u:***@[2001:db8::1]:80/`,
		`http://[2001:db8::1]:80/@x and http://[::1]/@x`:                        `http://[2001:db8::1]:80/@x and http://[::1]/@x`,
		`http://host:80/a%40b and http://host/a:b%40c`:                          `http://host:80/a%40b and http://host/a:b%40c`,
		`invalid parameter "contact: admin@example.com"`:                        `invalid parameter "contact: admin@example.com"`,
		`it's at admin@example.com, isn't it: yes`:                              `it's at admin@example.com, isn't it: yes`,
	} {
		if got := Passwords(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestNoPasswordIsLeft whatever stands in it, as long as the value around it is quoted. Of one with a quote next to white
// space as well as an @ nobody can tell where it ends.
func TestNoPasswordIsLeft(t *testing.T) {
	pieces := []string{" ", "\t", `x"x`, "x'x", "@", "/", "//", "http://", ":", "%40", "%3A", ",", "=", "[", "]", "x", "7"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		password := "a" // digits and a slash would be a port
		for range random.IntN(5) {
			password += pieces[random.IntN(len(pieces))]
		}
		password += "SECRET"
		for range random.IntN(5) {
			password += pieces[random.IntN(len(pieces))]
		}
		for _, form := range []string{`invalid port in upstream "http://user:%s@host:80/" in /etc/a.conf:3`, `"http://us@er:%s@[::1]/x" and "http://host/"`} {
			if got := Passwords(fmt.Sprintf(form, password)); strings.Contains(got, "SECRET") {
				t.Fatalf("%q is %q", fmt.Sprintf(form, password), got)
			}
		}
	}
}
