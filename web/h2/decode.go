package h2

import "starling/web/h1"

// maxIntegerOctets bounds an integer of a header block, as in nginx: values above 2^21 are meaningless.
const maxIntegerOctets = 4

// decoder reads header blocks (RFC 7541). It must see every block of a connection, including those of refused streams.
type decoder struct {
	table dynamicTable
	// maxStringBytes bounds one name or value as sent, maxBlockBytes all names and values of a block after decoding.
	maxStringBytes, maxBlockBytes int
}

// field is one decoded field; its bytes are in the memory passed to decode, or constant.
type field struct {
	name, value []byte
	id          h1.Known
}

// decode reads a whole block and passes each field to take. The error is a *failure.
func (d *decoder) decode(block []byte, memory *h1.Arena, take func(f field)) error {
	left, first := d.maxBlockBytes, true
	for len(block) > 0 {
		f, rest, err := d.next(block, memory, first)
		if err != nil {
			return err
		}
		block = rest
		if f.name == nil { // a size update
			continue
		}
		first = false
		if left -= len(f.name) + len(f.value); left < 0 {
			return failed(CodeEnhanceYourCalm, "client sent too large header")
		}
		take(f)
	}
	return nil
}

// next reads one representation (RFC 7541, 6).
func (d *decoder) next(b []byte, memory *h1.Arena, first bool) (f field, rest []byte, err error) {
	switch c := b[0]; {
	case c&0x80 != 0:
		index, rest, err := readInteger(b, 7)
		if err != nil {
			return f, nil, err
		}
		f, ok := d.indexed(index)
		if !ok {
			return f, nil, failed(CodeCompression, "client sent invalid hpack table index %d", index)
		}
		f.name, f.value = memory.Copy(f.name), memory.Copy(f.value)
		return f, rest, nil
	case c&0xe0 == 0x20:
		size, rest, err := readInteger(b, 5)
		if err != nil {
			return f, nil, err
		}
		if size > tableBytes || !first {
			return f, nil, failed(CodeCompression, "client sent invalid table size update: %d", size)
		}
		d.table.resize(size)
		return f, rest, nil
	case c&0xc0 == 0x40:
		f, rest, err = d.literal(b, 6, memory)
		if err == nil {
			d.table.add(f.name, f.value, f.id)
		}
		return f, rest, err
	}
	return d.literal(b, 4, memory)
}

// literal reads a field with its value, and its name or the index of one.
func (d *decoder) literal(b []byte, prefix uint, memory *h1.Arena) (f field, rest []byte, err error) {
	index, rest, err := readInteger(b, prefix)
	if err != nil {
		return f, nil, err
	}
	if index > 0 {
		var ok bool
		if f, ok = d.indexed(index); !ok {
			return f, nil, failed(CodeCompression, "client sent invalid hpack table index %d", index)
		}
		f.name = memory.Copy(f.name)
	} else {
		if f.name, rest, err = d.text(rest, memory); err != nil {
			return f, nil, err
		}
		if len(f.name) == 0 {
			return f, nil, failed(CodeProtocol, "client sent zero header name length")
		}
		f.id = h1.Identify(f.name)
	}
	f.value, rest, err = d.text(rest, memory)
	return f, rest, err
}

func (d *decoder) indexed(index int) (f field, ok bool) {
	if index < len(staticTable) {
		e := &staticTable[index]
		return field{e.name, e.value, e.id}, index > 0
	}
	f.name, f.value, f.id, ok = d.table.get(index - len(staticTable))
	return f, ok
}

// text reads a string literal (RFC 7541, 5.2).
func (d *decoder) text(b []byte, memory *h1.Arena) (text, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errTruncated
	}
	huffman := b[0]&0x80 != 0
	n, rest, err := readInteger(b, 7)
	if err != nil {
		return nil, nil, err
	}
	if n > d.maxStringBytes {
		return nil, nil, errLongField
	}
	if n > len(rest) {
		return nil, nil, errTruncated
	}
	text, rest = rest[:n], rest[n:]
	if !huffman {
		return memory.Copy(text), rest, nil
	}
	// The shortest code has five bits.
	plain, ok := appendHuffman(memory.Alloc(len(text) * 8 / 5)[:0], text)
	if !ok {
		return nil, nil, failed(CodeCompression, "client sent invalid encoded header field")
	}
	return plain[:len(plain):len(plain)], rest, nil
}

// hopeless detects a block whose beginning is already invalid, so that the rest is not awaited.
func (d *decoder) hopeless(b []byte) error {
	for len(b) > 0 {
		prefix, texts := uint(4), 1
		switch c := b[0]; {
		case c&0x80 != 0:
			prefix, texts = 7, 0
		case c&0xc0 == 0x40:
			prefix = 6
		case c&0xe0 == 0x20:
			prefix, texts = 5, 0
		}
		index, rest, err := readInteger(b, prefix)
		if texts > 0 && index == 0 {
			texts++
		}
		for b = rest; texts > 0 && err == nil && len(b) > 0; texts-- {
			var n int
			if n, rest, err = readInteger(b, 7); err == nil && n > d.maxStringBytes {
				return errLongField
			}
			b = rest[min(n, len(rest)):]
		}
		if err == errTruncated {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errLongField = failed(CodeEnhanceYourCalm, "client sent too large header field")

var errTruncated = failed(CodeFrameSize, "client sent header block with incorrect length")

// readInteger reads an integer with a prefix of that many bits (RFC 7541, 5.1).
func readInteger(b []byte, prefix uint) (n int, rest []byte, err error) {
	full := 1<<prefix - 1
	n = int(b[0]) & full
	if n < full {
		return n, b[1:], nil
	}
	shift := 0
	for i := 1; ; i++ {
		if i == maxIntegerOctets {
			return 0, nil, failed(CodeCompression, "client sent header block with too long integer")
		}
		if i == len(b) {
			return 0, nil, errTruncated
		}
		n += int(b[i]&0x7f) << shift
		if b[i]&0x80 == 0 {
			return n, b[i+1:], nil
		}
		shift += 7
	}
}
