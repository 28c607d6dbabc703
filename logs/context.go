package logs

import (
	"strconv"
	"strings"
)

// Connection starts a line about a client: the number of its connection. It is an argument of Logf with the verb %v; a
// log of JSON lines makes a field of it, others write "*5 ".
type Connection uint64

func (c Connection) String() string { return "*" + strconv.FormatUint(uint64(c), 10) + " " }

// Context ends a line about a client and has its details. It is the last argument of Logf, with the verb %v; a log of
// JSON lines makes fields of it, others write `, client: 10.0.0.1, server: example.com, request: "GET / HTTP/1.1"`.
type Context []Field

// Field is one part of a Context.
type Field struct {
	Name, Value string
	// Label is the name in a log that is not JSON, if it differs.
	Label string
	// Tight has no space after the colon there, as some of nginx's have.
	Tight bool
	// Quoted is nginx's form of data that a client has sent.
	Quoted bool
}

func (c Context) String() string {
	var b strings.Builder
	for _, f := range c {
		b.WriteString(", ")
		if f.Label != "" {
			b.WriteString(f.Label)
		} else {
			b.WriteString(f.Name)
		}
		b.WriteByte(':')
		if !f.Tight {
			b.WriteByte(' ')
		}
		if f.Quoted {
			b.WriteByte('"')
		}
		b.WriteString(f.Value)
		if f.Quoted {
			b.WriteByte('"')
		}
	}
	return b.String()
}

// About puts connection and context around the arguments of a format that begins and ends with %v for them.
func About(connection uint64, args []any, context Context) []any {
	return append(append([]any{Connection(connection)}, args...), context)
}

// apart separates the connection and the context from the arguments of a line.
func apart(args []any) (connection Connection, context Context, rest []any) {
	rest = args
	take := func(i int) {
		if &rest[0] == &args[0] {
			rest = append([]any(nil), args...)
		}
		rest[i] = ""
	}
	for i, arg := range args {
		switch a := arg.(type) {
		case Connection:
			connection = a
			take(i)
		case Context:
			context = append(context, a...)
			take(i)
		}
	}
	return connection, context, rest
}
