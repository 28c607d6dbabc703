package h2

import (
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// huffmanStep is the effect of four bits in one state of the decoder: a state is a node of the code's tree.
type huffmanStep struct {
	next   uint8
	symbol uint8
	emits  bool
	fails  bool // the code of EOS, which must not be sent (RFC 7541, 5.2)
}

// huffmanCode is the code of one symbol.
type huffmanCode struct {
	code uint32
	bits uint8
}

// huffmanCodes is the code of RFC 7541, appendix B, derived from an encoder: a symbol repeated eight times takes as
// many bytes as it has bits.
var huffmanCodes = func() (codes [256]huffmanCode) {
	for symbol := range codes {
		text := string([]byte{byte(symbol)})
		bits := hpack.HuffmanEncodeLength(strings.Repeat(text, 8))
		padded := append(hpack.AppendHuffmanString(nil, text), 0, 0, 0)
		codes[symbol] = huffmanCode{binary.BigEndian.Uint32(padded) >> (32 - bits), uint8(bits)}
	}
	return codes
}()

// huffman is the code as an automaton; huffmanEnds has the states in which a text can end.
var huffman, huffmanEnds = makeHuffman()

// node is a node in the tree of codes; leaves stand for a symbol.
type node struct {
	children [2]*node
	leaf     bool
	symbol   uint8
	state    uint8
}

func makeHuffman() (table [256][16]huffmanStep, ends [256]bool) {
	root := &node{}
	for symbol, c := range huffmanCodes {
		at := root
		for i := int(c.bits) - 1; i >= 0; i-- {
			bit := c.code >> i & 1
			if at.children[bit] == nil {
				at.children[bit] = &node{}
			}
			at = at.children[bit]
		}
		at.leaf, at.symbol = true, byte(symbol)
	}
	inner := []*node{root}
	for i := 0; i < len(inner); i++ {
		inner[i].state = uint8(i)
		for _, child := range inner[i].children {
			if child != nil && !child.leaf {
				inner = append(inner, child)
			}
		}
	}
	for state, from := range inner {
		for bits := range 16 {
			table[state][bits] = walk(root, from, bits)
		}
	}
	// Only ones may follow the last symbol: the beginning of EOS.
	for at := root; at != nil && !at.leaf; at = at.children[1] {
		ends[at.state] = true
	}
	return table, ends
}

func walk(root, at *node, bits int) (s huffmanStep) {
	for i := 3; i >= 0; i-- {
		if at = at.children[bits>>i&1]; at == nil {
			return huffmanStep{fails: true}
		}
		if at.leaf {
			s.emits, s.symbol = true, at.symbol
			at = root
		}
	}
	s.next = at.state
	return s
}

// appendEncoded appends a string literal, compressed if that makes it shorter.
func appendEncoded(dst, text []byte) []byte {
	bits := 0
	for i := range len(text) {
		bits += int(huffmanCodes[text[i]].bits)
	}
	n := (bits + 7) / 8
	if n >= len(text) {
		return append(appendInteger(dst, 7, len(text)), text...)
	}
	start := len(dst)
	dst = appendInteger(dst, 7, n)
	dst[start] |= 0x80
	word, used := uint64(0), 0
	for i := range len(text) {
		c := huffmanCodes[text[i]]
		word = word<<c.bits | uint64(c.code)
		for used += int(c.bits); used >= 8; {
			used -= 8
			dst = append(dst, byte(word>>used))
		}
	}
	if used > 0 {
		dst = append(dst, byte(word<<(8-used))|0xff>>used)
	}
	return dst
}

// appendHuffman decodes text. More padding than RFC 7541 allows is accepted, as in nginx.
func appendHuffman(dst, text []byte) (decoded []byte, ok bool) {
	state := uint8(0)
	for _, c := range text {
		for _, bits := range [2]byte{c >> 4, c & 15} {
			step := &huffman[state][bits]
			if step.fails {
				return dst, false
			}
			if step.emits {
				dst = append(dst, step.symbol)
			}
			state = step.next
		}
	}
	return dst, huffmanEnds[state]
}
