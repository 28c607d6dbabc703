package limitreq_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"starling/admin"
	"starling/web/webtest"
)

// The API names the keys that are limited most: text, addresses, and other bytes in hexadecimal.
func TestKeysThatAreLimitedMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=text:32k rate=1r/s; limit_req_zone $binary_remote_addr zone=addresses:32k rate=60r/m;
			server { location / { limit_req zone=text burst=5 nodelay; limit_req zone=addresses burst=9 nodelay; say x; } }`)
		for target, n := range map[string]int{"/?k=a": 2, "/?k=<b>": 4, "/?k=%00%01%02": 1, "/?k=\xff\xfe": 3} {
			statuses(s, target, n)
		}
		show := func(tail ...string) string {
			answer := s.Resource("starling/http/limit_reqs").Handle(&admin.Call{Method: "GET", Version: 9, Tail: tail})
			if answer.Err != nil {
				return answer.Err.Code
			}
			text, err := json.Marshal(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		const want = `{"rate":1000,"burst":5000,"keys":[{"key":"\u003cb\u003e","excess":4000},{"key":"0xfffe","excess":3000},` +
			`{"key":"a","excess":2000},{"key":"%00%01%02","excess":1000}]}`
		if got := show("text"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := show("addresses"); got != `{"rate":1000,"burst":9000,"keys":[{"key":"unix:","excess":10000}]}` {
			t.Errorf("addresses: %s", got)
		}
		if got := show("none"); got != "LimitReqNotFound" {
			t.Errorf("an unknown zone: %s", got)
		}
	})
}
