package charset

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"starling/conf"
	"starling/plan"
	"starling/side"
)

const utf8Name = "utf-8"

// missing replaces what the other charset does not have.
const missing = '?'

// conversion appends a text in another charset. It returns how many bytes at the end belong to a character that is not
// complete.
type conversion interface {
	convert(dst, text []byte) (out []byte, incomplete int)
	keepsLength() bool
}

// bytewise is between two charsets of one byte a character.
type bytewise [256]byte

func (b *bytewise) convert(dst, text []byte) ([]byte, int) {
	for _, c := range text {
		dst = append(dst, b[c])
	}
	return dst, 0
}

func (b *bytewise) keepsLength() bool { return true }

// toUTF8 has the bytes for each code.
type toUTF8 [256]string

func (t *toUTF8) convert(dst, text []byte) ([]byte, int) {
	for _, c := range text {
		dst = append(dst, t[c]...)
	}
	return dst, 0
}

func (t *toUTF8) keepsLength() bool { return false }

// fromUTF8 has the code for each character above ASCII. Other characters become references, "&#8364;".
type fromUTF8 map[rune]byte

func (f fromUTF8) convert(dst, text []byte) ([]byte, int) {
	for len(text) > 0 {
		if c := text[0]; c < utf8.RuneSelf {
			dst, text = append(dst, c), text[1:]
			continue
		}
		r, n := decodeUTF8(text)
		if n == 0 {
			return dst, len(text)
		}
		text = text[n:]
		code, known := f[r]
		switch {
		case r < 0:
			dst = append(dst, missing)
		case known:
			dst = append(dst, code)
		default:
			dst = append(strconv.AppendInt(append(dst, "&#"...), int64(r), 10), ';')
		}
	}
	return dst, 0
}

func (f fromUTF8) keepsLength() bool { return false }

// decodeUTF8 decodes a character above ASCII as nginx does (ngx_utf8_decode): the bytes after the first need only be
// above ASCII, surrogates are characters, and a sequence that is invalid, r = -1, ends with the byte that makes it so.
// n is 0 if there are fewer bytes than the first one announces.
func decodeUTF8(text []byte) (r rune, n int) {
	least, more := rune(0), 0
	switch c := rune(text[0]); {
	case c >= 0xf8, c < 0xc2:
		return -1, 1
	case c >= 0xf0:
		r, least, more = c&0x07, 1<<16, 3
	case c >= 0xe0:
		r, least, more = c&0x0f, 1<<11, 2
	default:
		r, least, more = c&0x1f, 1<<7, 1
	}
	if len(text) <= more {
		return 0, 0
	}
	for n = 1; n <= more; n++ {
		if text[n] < utf8.RuneSelf {
			return -1, n + 1
		}
		r = r<<6 | rune(text[n]&0x3f)
	}
	if r < least || r > utf8.MaxRune {
		return -1, n
	}
	return r, n
}

func declareMap(_ *Settings, a *conf.Args) error {
	w := plan.Part[part](side.PlanOf(a))
	first, second := strings.ToLower(a.Words[0]), strings.ToLower(a.Words[1])
	if first == second {
		return conf.At(a.Node, "\"charset_map\" between the same charsets \"%s\" and \"%s\"", a.Words[0], a.Words[1])
	}
	if first == utf8Name {
		return conf.At(a.Node, "\"charset_map\" with \"utf-8\" charset should be given in the second column")
	}
	if _, taken := w.conversions[pair{first, second}]; taken {
		return conf.At(a.Node, "duplicate \"charset_map\" between \"%s\" and \"%s\"", a.Words[0], a.Words[1])
	}
	w.know(first)
	w.know(second)
	if w.conversions == nil {
		w.conversions = map[pair]conversion{}
	}
	read := readBytewise
	if second == utf8Name {
		read = readUTF8
	}
	forth, back, err := read(a.Node.Block)
	if err != nil {
		return err
	}
	w.conversions[pair{first, second}], w.conversions[pair{second, first}] = forth, back
	return nil
}

// line reads the code of the first charset.
func line(n *conf.Node) (code byte, second string, err error) {
	if len(n.Words) != 1 {
		return 0, "", conf.At(n, "invalid parameters number")
	}
	v, err := strconv.ParseUint(n.Name, 16, 8)
	if err != nil {
		return 0, "", conf.At(n, "invalid value \"%s\"", n.Name)
	}
	return byte(v), n.Words[0], nil
}

func readBytewise(lines []*conf.Node) (conversion, conversion, error) {
	var forth, back bytewise
	for c := range 256 {
		forth[c], back[c] = byte(c), byte(c)
		if c >= utf8.RuneSelf {
			forth[c], back[c] = missing, missing
		}
	}
	for _, n := range lines {
		code, text, err := line(n)
		if err != nil {
			return nil, nil, err
		}
		v, err := strconv.ParseUint(text, 16, 8)
		if err != nil {
			return nil, nil, conf.At(n, "invalid value \"%s\"", text)
		}
		forth[code], back[v] = byte(v), code
	}
	return &forth, &back, nil
}

func readUTF8(lines []*conf.Node) (conversion, conversion, error) {
	var forth toUTF8
	for c := range 256 {
		forth[c] = string(missing)
		if c < utf8.RuneSelf {
			forth[c] = string(rune(c))
		}
	}
	back := fromUTF8{}
	for _, n := range lines {
		code, text, err := line(n)
		if err != nil {
			return nil, nil, err
		}
		bytes, err := hex.DecodeString(text)
		r, length := utf8.DecodeRune(bytes)
		// As in nginx, the character is one of the first 65,536.
		if err != nil || len(bytes) == 0 || length != len(bytes) || r == utf8.RuneError && length == 1 || r > 0xffff {
			return nil, nil, conf.At(n, "invalid value \"%s\"", text)
		}
		forth[code], back[r] = string(bytes), code
	}
	return &forth, back, nil
}
