package masked

import "testing"

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
	} {
		if got := Passwords(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
