package keyval

import (
	"bytes"
	"encoding/json"
	"net/http"
	"unicode/utf16"
	"unicode/utf8"

	"starling/admin"
)

// change is one pair of a request's body.
type change struct {
	key      string
	value    string
	remove   bool  // null
	expireMS int64 // -1: not given
}

// codes and texts of the errors in a body, as documented.
const codeFormat = "KeyvalFormatError"

func badFormat(text string) *admin.APIError {
	return &admin.APIError{Status: http.StatusBadRequest, Code: codeFormat, Text: text}
}

// parseBody reads {"key": "value", "other": {"value": "v", "expire": 30000}, "gone": null}. Text that is not JSON
// gets 415 and JSON of another shape 400: the documentation lists both for "invalid JSON" without a rule.
func parseBody(body []byte) ([]change, *admin.APIError) {
	// The decoder would replace bytes that are not UTF-8: the key or value would differ from what was sent.
	if !json.Valid(body) || !utf8.Valid(body) || hasLoneSurrogate(body) {
		return nil, &admin.APIError{Status: http.StatusUnsupportedMediaType, Code: "JsonError", Text: "json error"}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, badFormat("invalid JSON")
	}
	var list []change
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, badFormat("invalid JSON")
		}
		key := name.(string) // the text is valid JSON: a name is a string
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, badFormat("invalid JSON")
		}
		c, problem := newChange(key, value)
		if problem != nil {
			return nil, problem
		}
		if seen[key] {
			return nil, badFormat("duplicate key \"" + key + "\"")
		}
		seen[key] = true
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, badFormat("key required")
	}
	return list, nil
}

// hasLoneSurrogate looks in valid JSON for a \uD800 to \uDFFF without its other half: it is no character, and the
// decoder would replace it.
func hasLoneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // backslashes occur only in strings, and something follows
		if body[i] != 'u' {
			continue
		}
		code := escaped(body[i+1:])
		i += 4
		if !utf16.IsSurrogate(code) {
			continue
		}
		if rest := body[i+1:]; !bytes.HasPrefix(rest, []byte(`\u`)) ||
			utf16.DecodeRune(code, escaped(rest[2:])) == utf8.RuneError {
			return true
		}
		i += len(`\uXXXX`)
	}
	return false
}

// escaped is the value of four hexadecimal digits.
func escaped(digits []byte) (code rune) {
	for _, c := range digits[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		code = code<<4 | rune(c)
	}
	return code
}

func newChange(key string, value any) (change, *admin.APIError) {
	c := change{key: key, expireMS: -1}
	object, ok := value.(map[string]any)
	if !ok {
		if value == nil {
			c.remove = true
			return c, nil
		}
		if c.value, ok = scalar(value); !ok {
			return c, badFormat("invalid value of key \"" + key + "\"")
		}
		return c, nil
	}
	given := false
	for name, v := range object {
		switch name {
		case "value":
			if c.value, given = scalar(v); !given {
				return c, badFormat("invalid value of key \"" + key + "\"")
			}
		case "expire":
			n, ok := v.(json.Number)
			if !ok {
				return c, badFormat("invalid expire of key \"" + key + "\"")
			}
			ms, err := n.Int64()
			if err != nil || ms <= 0 || ms > maxExpireMS {
				return c, badFormat("invalid expire of key \"" + key + "\"")
			}
			c.expireMS = ms
		default:
			return c, badFormat("unknown parameter \"" + name + "\"")
		}
	}
	if !given {
		return c, badFormat("value of key \"" + key + "\" required")
	}
	return c, nil
}

// maxExpireMS keeps expiry times far from overflow: a hundred years.
const maxExpireMS = 100 * 365 * 24 * 3600 * 1000

// scalar accepts strings, and numbers as they are written.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}
