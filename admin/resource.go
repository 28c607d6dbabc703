// Package admin has the resources of the API, which families contribute, and the metrics that are read from their
// answers.
package admin

import (
	"io"
	"net/url"
	"time"
)

// Resource is one branch of the API, served below /api/VERSION/.
type Resource struct {
	// Path is the path of the branch, without leading and trailing slashes: "http/keyvals".
	Path string
	// Since is the first API version that has it.
	Since int
	// Collection means that GET without a tail returns an object of named objects: ?fields= then selects the fields of
	// each of them, and an empty ?fields= only their names.
	Collection bool
	// Handle answers a call. It is safe for concurrent use.
	Handle func(call *Call) Answer
	// Metrics are the Prometheus metrics in the answer to GET, below MetricsTail.
	Metrics     []Metric
	MetricsTail []string
}

// Call is one API request, already checked for version and write permission.
type Call struct {
	Method  string // GET, POST, PATCH or DELETE
	Version int
	// Tail is the rest of the path after the resource's, split at slashes and unescaped: ["one"] for http/keyvals/one.
	Tail  []string
	Query url.Values
	// Address is the server's address that accepted the call: "127.0.0.1:8080".
	Address string
	// Body is the whole request body, nil for GET and DELETE; the server bounds it.
	Body []byte
}

// Answer is the response of a resource. Exactly one of Err, Body and Stream is set; a Status of 0 means 200.
type Answer struct {
	Status int
	// Body is encoded as JSON; nil sends no body (204).
	Body any
	// Stream, if not nil, writes the JSON itself, for answers that are too big for memory. It handles ?fields= itself.
	// An error truncates the answer.
	Stream func(w io.Writer) error
	// Location, if not empty, is sent as the Location header (201).
	Location string
	Err      *APIError
}

// APIError is a documented failure: nothing was changed.
type APIError struct {
	Status int    // HTTP status
	Text   string // for people: key "a" already exists
	Code   string // for programs: KeyvalKeyExists
}

func (e *APIError) Error() string { return e.Text }

// Fail makes the answer for a failed call.
func Fail(status int, code, text string) Answer {
	return Answer{Err: &APIError{Status: status, Text: text, Code: code}}
}

// Timestamp is a time as the API of NGINX Plus shows it: ISO 8601 with milliseconds.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
