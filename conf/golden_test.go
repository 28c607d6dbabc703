package conf_test

import (
	"os"
	"strings"
	"testing"
)

// example is one configuration and the message wanted for it.
type example struct{ name, text, want string }

func examples(t testing.TB) []example {
	bytes, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for _, part := range strings.Split("\n"+string(bytes), "\n== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		text, want, found := strings.Cut("\n"+rest, "\n--\n")
		if !found {
			t.Fatalf("%s: no line --", name)
		}
		all = append(all, example{name, strings.TrimPrefix(text, "\n") + "\n", strings.TrimSuffix(want, "\n")})
	}
	return all
}

func TestMessages(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			got := "ok"
			if err := bind(t, e.text).Err(); err != nil {
				got = strings.ReplaceAll(err.Error(), " in /x.conf:", " in x.conf:")
			}
			if got != e.want {
				t.Errorf("got  %s\nwant %s", got, e.want)
			}
		})
	}
}
