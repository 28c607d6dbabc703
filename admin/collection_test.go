package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"starling/admin"
)

// jar is a thing of a collection here.
type jar struct {
	Fill   int
	sealed bool
}

// ask calls a resource ("GET one/lids") and returns the answer as text.
func ask(r admin.Resource, text string) string {
	method, path, _ := strings.Cut(text, " ")
	call := &admin.Call{Method: method}
	if path != "" {
		call.Tail = strings.Split(path, "/")
	}
	answer := r.Handle(call)
	if answer.Err != nil {
		return fmt.Sprintf("%d %s %s", answer.Err.Status, answer.Err.Code, answer.Err.Text)
	}
	if answer.Body == nil {
		return fmt.Sprint(answer.Status)
	}
	body, err := json.Marshal(answer.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.Status, body))
}

type calls []struct{ call, want string }

func (list calls) check(t *testing.T, r admin.Resource) {
	t.Helper()
	for _, c := range list {
		if got := ask(r, c.call); got != c.want {
			t.Errorf("%s: %s, want %s", c.call, got, c.want)
		}
	}
}

func says(text string) func(*admin.Call) admin.Answer {
	return func(*admin.Call) admin.Answer { return admin.Answer{Status: 200, Body: text} }
}

func saysOfOne(text string) func(*jar, *admin.Call) admin.Answer {
	return func(j *jar, call *admin.Call) admin.Answer {
		return admin.Answer{Status: 200, Body: fmt.Sprintf("%s %d %q", text, j.Fill, call.Tail)}
	}
}

const (
	noPath   = "404 PathNotFound path not found"
	noMethod = "405 MethodNotAllowed method not allowed"
)

// A collection that says least can be read: all of it, and each by name.
func TestCollectionIsRead(t *testing.T) {
	jars := map[string]*jar{"a": {Fill: 1}, "b": {Fill: 2}}
	r := admin.Collection[*jar]{Path: "jars", Since: 2, Each: maps.All(jars), Missing: admin.NotFound("JarNotFound", "jar")}.Resource()
	if r.Path != "jars" || r.Since != 2 || !r.Collection {
		t.Errorf("the resource is %+v", r)
	}
	calls{
		{"GET ", `0 {"a":{"Fill":1},"b":{"Fill":2}}`},
		{"GET a", `0 {"Fill":1}`},
		{"GET c", `404 JarNotFound jar "c" not found`},
		{"DELETE c", `404 JarNotFound jar "c" not found`},
		{"GET a/lids", noPath},
		{"GET c/lids", noPath},
		{"DELETE ", noMethod}, {"POST ", noMethod}, {"PATCH ", noMethod}, {"PUT ", noMethod},
		{"DELETE a", noMethod}, {"POST a", noMethod}, {"PATCH a", noMethod}, {"PUT a", noMethod},
	}.check(t, r)
}

func TestEmptyCollection(t *testing.T) {
	calls{
		{"GET ", "0 {}"}, {"GET a", `404 JarNotFound jar "a" not found`}, {"GET a/b", noPath}, {"DELETE ", noMethod},
	}.check(t, admin.Collection[jar]{Missing: admin.NotFound("JarNotFound", "jar")}.Resource())
}

// What is given for one and for the whole is called; what follows one goes to the branch below it.
func TestCollectionDoesWhatItIsGiven(t *testing.T) {
	jars := map[string]*jar{"a": {Fill: 1}, "s": {Fill: 3, sealed: true}}
	r := admin.Collection[*jar]{
		Each: maps.All(jars),
		Find: func(name string) (*jar, bool) {
			if name == "hidden" {
				return &jar{Fill: 9}, true
			}
			j, found := jars[name]
			return j, found
		},
		Missing: admin.NotFound("JarNotFound", "jar"),
		Admit: func(j *jar) *admin.APIError {
			if j.sealed {
				return &admin.APIError{Status: 400, Code: "Sealed", Text: "sealed"}
			}
			return nil
		},
		Show: func(j *jar) any { return j.Fill },
		Add:  says("added"), Clear: says("cleared"),
		Post: saysOfOne("posted"), Patch: saysOfOne("patched"), Delete: admin.Resets(func(j *jar) { j.Fill = 0 }),
		Below: map[string]func(*jar, *admin.Call) admin.Answer{"lids": saysOfOne("lids")},
	}.Resource()
	calls{
		{"GET ", `0 {"a":1,"s":3}`},
		{"POST ", `200 "added"`}, {"DELETE ", `200 "cleared"`}, {"PATCH ", noMethod},
		{"GET a", "0 1"}, {"GET hidden", "0 9"}, {"GET c", `404 JarNotFound jar "c" not found`},
		{"GET s", "400 Sealed sealed"}, {"DELETE s", "400 Sealed sealed"}, {"GET s/lids", "400 Sealed sealed"},
		{"POST a", `200 "posted 1 [\"a\"]"`}, {"PATCH a", `200 "patched 1 [\"a\"]"`},
		{"GET a/lids", `200 "lids 1 []"`}, {"PATCH a/lids/3/4", `200 "lids 1 [\"3\" \"4\"]"`},
		{"GET c/lids", `404 JarNotFound jar "c" not found`}, {"GET a/corks", noPath},
		{"DELETE a", "204"}, {"GET a", "0 0"},
	}.check(t, r)
}

// A collection may show the whole in a shape of its own, and one too.
func TestCollectionWithAShapeOfItsOwn(t *testing.T) {
	r := admin.Collection[*jar]{
		Each:    maps.All(map[string]*jar{"a": {Fill: 1}}),
		All:     says("list"),
		Get:     saysOfOne("got"),
		Missing: admin.NotFound("X", "x"),
	}.Resource()
	if r.Collection {
		t.Error("?fields= would choose within the members of what All answers")
	}
	calls{{"GET ", `200 "list"`}, {"GET a", `200 "got 1 [\"a\"]"`}, {"DELETE ", noMethod}}.check(t, r)
}

func TestSingle(t *testing.T) {
	j := jar{Fill: 5}
	get := func(*admin.Call) any { return j }
	calls{
		{"GET ", `0 {"Fill":5}`}, {"GET x", noPath}, {"DELETE x", noPath}, {"POST ", noMethod}, {"DELETE ", "204"}, {"GET ", `0 {"Fill":0}`},
	}.check(t, admin.Single{Path: "jar", Get: get, Reset: func() { j.Fill = 0 }}.Resource())
	calls{{"GET ", `0 {"Fill":0}`}, {"DELETE ", noMethod}}.check(t, admin.Single{Path: "jar", Get: get}.Resource())
}
