package admin_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"starling/admin"
)

// browse offers the keys 000 to 299 in any order and returns the answer in short.
func browse(t *testing.T, query string) string {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	page, problem := admin.ReadPage(&admin.Call{Query: values})
	if problem != nil {
		return fmt.Sprint(problem.Status, " ", problem.Text)
	}
	b := admin.NewBrowser[string](page)
	for _, i := range rand.Perm(300) {
		key := fmt.Sprintf("%03d", i)
		b.Offer([]byte(key), []byte(strings.Repeat("x", i%3)), func() string { return key })
	}
	r := b.Records()
	first, last := "", ""
	if len(r.Records) > 0 {
		first, last = r.Records[0], r.Records[len(r.Records)-1]
	}
	return fmt.Sprintf("%d of %d, %s-%s, %d shown, more %v", r.Matches, r.Total, first, last, len(r.Records), r.More)
}

func TestBrowse(t *testing.T) {
	for query, want := range map[string]string{
		"":                                    "300 of 300, 000-099, 100 shown, more true",
		"limit=200":                           "300 of 300, 000-199, 200 shown, more true",
		"after=099":                           "300 of 300, 100-199, 100 shown, more true",
		"after=199":                           "300 of 300, 200-299, 100 shown, more false",
		"after=299":                           "300 of 300, -, 0 shown, more false",
		"search=xx":                           "100 of 300, 002-299, 100 shown, more false",
		"search=xx&limit=10":                  "100 of 300, 002-029, 10 shown, more true",
		"search=29&after=129&limit=5":         "13 of 300, 229-293, 5 shown, more true",
		"search=nothing":                      "0 of 300, -, 0 shown, more false",
		"limit=0":                             "400 limit must be between 1 and 200",
		"limit=201":                           "400 limit must be between 1 and 200",
		"limit=x":                             "400 limit must be between 1 and 200",
		"search=" + strings.Repeat("a", 1025): "400 search is longer than 1024 bytes",
	} {
		if got := browse(t, query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}
