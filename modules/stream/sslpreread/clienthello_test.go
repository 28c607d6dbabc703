package sslpreread

import "testing"

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3})
	f.Add([]byte{0x80, 0x1c, 1, 3, 1})
	f.Add([]byte("\x16\x03\x01\x00\x33\x01\x00\x00\x2f\x03\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, v := read(data)
		if v != found && (h.serverName != nil || h.alpn != nil) {
			t.Errorf("%q tells %+v though it is none", data, h)
		}
		if len(h.serverName)+len(h.alpn) > len(data) {
			t.Errorf("%q tells more than it has: %+v", data, h)
		}
	})
}
