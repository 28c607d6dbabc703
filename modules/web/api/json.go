package api

import (
	"bytes"
	"encoding/json"
	"slices"
)

// member is one name and value of a JSON object. Objects keep their order because people read them.
type member struct {
	name  string
	value json.RawMessage
}

// encode writes a value as NGINX Plus does: one line without spaces, markup unescaped.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// members splits an object; ok is false for any other value.
func members(object []byte) (list []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		m := member{name: name.(string)}
		if d.Decode(&m.value) != nil {
			return nil, false
		}
		list = append(list, m)
	}
	return list, true
}

func join(list []member) []byte {
	out := []byte{'{'}
	for i, m := range list {
		if i > 0 {
			out = append(out, ',')
		}
		name, _ := encode(m.name) // a string can always be encoded
		out = append(append(append(out, name...), ':'), m.value...)
	}
	return append(out, '}')
}

// choose keeps the named members of an object, or of every object in a collection or array.
func choose(value []byte, fields []string, collection bool) []byte {
	list, ok := members(value)
	if !ok {
		return chooseInArray(value, fields)
	}
	if collection {
		for i := range list {
			list[i].value = choose(list[i].value, fields, false)
		}
		return join(list)
	}
	return join(slices.DeleteFunc(list, func(m member) bool { return !slices.Contains(fields, m.name) }))
}

func chooseInArray(value []byte, fields []string) []byte {
	var elements []json.RawMessage
	if json.Unmarshal(value, &elements) != nil || elements == nil {
		return value
	}
	out := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, choose(e, fields, false)...)
	}
	return append(out, ']')
}

// names is the answer to an empty ?fields= of a collection.
func names(collection []byte) []byte {
	list, ok := members(collection)
	if !ok {
		return collection
	}
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.name
	}
	text, _ := encode(out) // strings can always be encoded
	return text
}
