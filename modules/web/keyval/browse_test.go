package keyval_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"starling/admin"
	"starling/web/webtest"
)

// A page of pairs has what matches a search, in the order of keys, and says whether more follow; long values are cut.
func TestBrowse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, text)
		put(t, s, "one", `{"b<i>":"two","a":"1","long":"`+strings.Repeat("x", 3000)+`"}`)
		r := s.Resource("starling/http/keyvals")
		browse := func(query string, tail ...string) string {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			answer := r.Handle(&admin.Call{Method: "GET", Version: 9, Tail: tail, Query: values})
			if answer.Err != nil {
				return answer.Err.Code
			}
			text, err := json.Marshal(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text))
		}
		const first = `{"key":"a","value":"1","left_ms":60000}`
		for query, want := range map[string]string{
			"limit=1":         `{"total":3,"matches":3,"more":true,"records":[` + first + `]}`,
			"limit=1&after=a": `{"total":3,"matches":3,"more":true,"records":[{"key":"b<i>","value":"two","left_ms":60000}]}`,
			"search=<i>":      `{"total":3,"matches":1,"more":false,"records":[{"key":"b<i>","value":"two","left_ms":60000}]}`,
			"search=xxx": `{"total":3,"matches":1,"more":false,"records":[{"key":"long","value":"` + strings.Repeat("x", 2048) +
				`","truncated":true,"left_ms":60000}]}`,
			"search=none": `{"total":3,"matches":0,"more":false,"records":[]}`,
			"limit=0":     "BadArgument",
		} {
			if got := browse(query, "one"); got != want {
				t.Errorf("%q: %s, want %s", query, got, want)
			}
		}
		if got := browse(""); got != `["one","nets","paths"]` {
			t.Errorf("the zones are %s", got)
		}
		if got := browse("", "two"); got != "KeyvalNotFound" {
			t.Errorf("an unknown zone: %s", got)
		}
	})
}
