package admin

import (
	"iter"
	"net/http"
)

// Collection is a branch of named resources: GET shows all or one, the other methods call their functions. Unknown
// paths get 404 and methods without a function 405, with the API's texts.
type Collection[T any] struct {
	Path        string
	Since       int
	Metrics     []Metric
	MetricsTail []string

	// Each returns the resources by name; nil: there are none. It is run at each call.
	Each iter.Seq2[string, T]
	// Find finds one, also one that Each leaves out; nil: search Each.
	Find func(name string) (T, bool)
	// Missing is the error for an unknown name.
	Missing func(name string) *APIError
	// Admit returns why a name cannot be shown or changed; nil: all can.
	Admit func(one T) *APIError
	// Show is the form of one in a GET, alone and among all; nil: unchanged.
	Show func(one T) any

	// All answers GET of the whole instead of Each and Show; ?fields= then selects among the members of its answer.
	All func(*Call) Answer
	// Add and Clear answer POST and DELETE of the whole. Nil: 405.
	Add, Clear func(*Call) Answer

	// Get answers GET of one; nil: Show does.
	Get func(T, *Call) Answer
	// Post, Patch and Delete answer these methods for one. Nil: 405.
	Post, Patch, Delete func(T, *Call) Answer
	// Below are the branches below one: "servers". The Tail of their call is the rest of the path.
	Below map[string]func(T, *Call) Answer
}

// Resource is the branch for the catalog.
func (c Collection[T]) Resource() Resource {
	return Resource{
		Path:        c.Path,
		Since:       c.Since,
		Collection:  c.All == nil,
		Handle:      c.Handle,
		Metrics:     c.Metrics,
		MetricsTail: c.MetricsTail,
	}
}

// Handle answers a call whose Tail begins below the collection.
func (c Collection[T]) Handle(call *Call) Answer {
	if len(call.Tail) == 0 {
		return c.whole(call)
	}
	name, tail := call.Tail[0], call.Tail[1:]
	if len(tail) > 0 && c.Below == nil {
		return Answer{Err: PathNotFound()}
	}
	one, found := c.find(name)
	if !found {
		return Answer{Err: c.Missing(name)}
	}
	if c.Admit != nil {
		if problem := c.Admit(one); problem != nil {
			return Answer{Err: problem}
		}
	}
	if len(tail) == 0 {
		return c.one(one, call)
	}
	below := c.Below[tail[0]]
	if below == nil {
		return Answer{Err: PathNotFound()}
	}
	deeper := *call
	deeper.Tail = tail[1:]
	return below(one, &deeper)
}

func (c Collection[T]) whole(call *Call) Answer {
	switch {
	case call.Method == http.MethodGet && c.All != nil:
		return c.All(call)
	case call.Method == http.MethodGet:
		all := map[string]any{}
		if c.Each != nil {
			for name, one := range c.Each {
				all[name] = c.show(one)
			}
		}
		return Answer{Body: all}
	case call.Method == http.MethodPost && c.Add != nil:
		return c.Add(call)
	case call.Method == http.MethodDelete && c.Clear != nil:
		return c.Clear(call)
	}
	return Answer{Err: MethodNotAllowed()}
}

func (c Collection[T]) find(name string) (one T, found bool) {
	if c.Find != nil {
		return c.Find(name)
	}
	if c.Each != nil {
		for other, candidate := range c.Each {
			if other == name {
				return candidate, true
			}
		}
	}
	return one, false
}

func (c Collection[T]) show(one T) any {
	if c.Show == nil {
		return one
	}
	return c.Show(one)
}

func (c Collection[T]) one(one T, call *Call) Answer {
	var do func(T, *Call) Answer
	switch call.Method {
	case http.MethodGet:
		if do = c.Get; do == nil {
			return Answer{Body: c.show(one)}
		}
	case http.MethodPost:
		do = c.Post
	case http.MethodPatch:
		do = c.Patch
	case http.MethodDelete:
		do = c.Delete
	}
	if do == nil {
		return Answer{Err: MethodNotAllowed()}
	}
	return do(one, call)
}

// Single is a branch of one object with nothing below it.
type Single struct {
	Path    string
	Since   int
	Metrics []Metric
	Get     func(*Call) any
	Reset   func() // DELETE; nil: 405
}

// Resource is the branch for the catalog.
func (s Single) Resource() Resource {
	return Resource{Path: s.Path, Since: s.Since, Handle: s.handle, Metrics: s.Metrics}
}

func (s Single) handle(call *Call) Answer {
	switch {
	case len(call.Tail) > 0:
		return Answer{Err: PathNotFound()}
	case call.Method == http.MethodGet:
		return Answer{Body: s.Get(call)}
	case call.Method == http.MethodDelete && s.Reset != nil:
		s.Reset()
		return Answer{Status: http.StatusNoContent}
	}
	return Answer{Err: MethodNotAllowed()}
}

// Resets makes a Delete of a function that sets the figures of one to zero.
func Resets[T any](reset func(T)) func(T, *Call) Answer {
	return func(one T, _ *Call) Answer {
		reset(one)
		return Answer{Status: http.StatusNoContent}
	}
}

// NotFound makes a Missing: keyval "x" not found.
func NotFound(code, what string) func(name string) *APIError {
	return func(name string) *APIError {
		return &APIError{Status: http.StatusNotFound, Code: code, Text: what + " \"" + name + "\" not found"}
	}
}

// PathNotFound is the error for a path that the API does not have.
func PathNotFound() *APIError {
	return &APIError{Status: http.StatusNotFound, Code: "PathNotFound", Text: "path not found"}
}

// MethodNotAllowed is the error for a method that a path does not support.
func MethodNotAllowed() *APIError {
	return &APIError{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Text: "method not allowed"}
}
