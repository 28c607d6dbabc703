package plan_test

import (
	"fmt"
	"testing"

	"starling/admin"
	"starling/plan"
)

func TestResolversAreShownAndReset(t *testing.T) {
	p := plan.New()
	resource := plan.Part[plan.ResolverZones](p).Resource() // as the cycle does, perhaps before the first resolver is known
	if _, err := p.Resolver(plan.ResolverSettings{Servers: []string{"127.0.0.1:1"}, StatusZone: "names"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method string
		tail   []string
		want   string
	}{
		{"GET", nil, "0 1 shown"},
		{"GET", []string{"names"}, "0 shown"},
		{"DELETE", []string{"names"}, "204"},
		{"GET", []string{"none"}, "404 ResolverZoneNotFound: resolver zone not found"},
		{"DELETE", []string{"none"}, "404 ResolverZoneNotFound: resolver zone not found"},
		{"GET", []string{"names", "x"}, "404 PathNotFound: path not found"},
		{"POST", nil, "405 MethodNotAllowed: method not allowed"},
		{"DELETE", nil, "405 MethodNotAllowed: method not allowed"},
		{"PATCH", []string{"names"}, "405 MethodNotAllowed: method not allowed"},
	} {
		answer := resource.Handle(&admin.Call{Method: c.method, Tail: c.tail})
		got := fmt.Sprint(answer.Status)
		switch body := answer.Body.(type) {
		case map[string]any:
			got += fmt.Sprintf(" %d shown", len(body))
		case nil:
		default:
			got += " shown"
		}
		if e := answer.Err; e != nil {
			got = fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Text)
		}
		if got != c.want {
			t.Errorf("%s %q: %s, want %s", c.method, c.tail, got, c.want)
		}
	}
}
