package sslpreread

import "slices"

// hello is the information of a ClientHello. The zero value has none.
type hello struct {
	version    [2]byte
	serverName []byte
	alpn       []byte // joined by commas
}

// verdict is the outcome of reading.
type verdict int

const (
	more    verdict = iota // the message is not complete
	found                  // it was read
	foreign                // it is no ClientHello
)

const (
	recordHeaderBytes  = 5
	recordHandshake    = 0x16
	messageClientHello = 1

	extensionServerName        = 0
	extensionALPN              = 16
	extensionSupportedVersions = 43
)

// read looks for a ClientHello at the start of data (RFC 8446, 4.1.2). A message may span several records.
func read(data []byte) (h hello, v verdict) {
	var message []byte
	for len(data) >= recordHeaderBytes {
		if data[0]&0x80 != 0 && data[2] == messageClientHello && (data[3] == 0 || data[3] == 3) {
			h.version = [2]byte{data[3], data[4]} // of SSL 2, whose record is the message
			return h, found
		}
		if data[0] != recordHandshake || data[1] != 3 {
			return hello{}, foreign
		}
		end := recordHeaderBytes + (int(data[3])<<8 | int(data[4]))
		if len(data) < end {
			break
		}
		message = append(message, data[recordHeaderBytes:end]...)
		data = data[end:]
		if h, v = readMessage(message); v != more {
			return h, v
		}
	}
	return hello{}, more
}

// readMessage reads as much of the handshake message as is there.
func readMessage(message []byte) (h hello, v verdict) {
	if len(message) > 0 && message[0] != messageClientHello {
		return h, foreign
	}
	if len(message) < 4 {
		return h, more
	}
	length := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
	if len(message) < 4+length {
		return h, more
	}
	f := fields(message[4 : 4+length])
	version, ok := f.take(2)
	if !ok {
		return h, foreign
	}
	h.version = [2]byte(version)
	_, ok = f.take(32) // random
	for _, size := range []int{1, 2, 1} {
		if ok {
			_, ok = f.sized(size) // session, ciphers, compression
		}
	}
	if !ok {
		return h, foreign
	}
	if len(f) == 0 {
		return h, found // no extensions
	}
	if _, ok = f.take(2); !ok || !h.readExtensions(f) {
		return hello{}, foreign
	}
	return h, found
}

// readExtensions reads the relevant extensions; false if they are malformed. Within these, nginx uses the inner
// lengths, not that of the extension.
func (h *hello) readExtensions(f fields) bool {
	for len(f) > 0 {
		kind, ok := f.take(2)
		if !ok {
			return false
		}
		size, ok := f.take(2)
		if !ok {
			return false
		}
		switch n := int(kind[0])<<8 | int(kind[1]); {
		case n == extensionServerName && h.serverName == nil:
			ok = h.readServerName(&f)
		case n == extensionALPN && h.alpn == nil:
			ok = h.readALPN(&f)
		case n == extensionSupportedVersions:
			h.version = [2]byte{3, 4}
			_, ok = f.sized(1)
		default:
			_, ok = f.take(int(size[0])<<8 | int(size[1]))
		}
		if !ok {
			return false
		}
	}
	return true
}

func (h *hello) readServerName(f *fields) bool {
	list, ok := f.sized(2)
	if !ok {
		return false
	}
	kind, ok := list.take(1)
	if !ok || kind[0] != 0 { // a DNS name, the only type there is
		return false
	}
	name, ok := list.sized(2)
	h.serverName = slices.Concat([]byte{}, name)
	return ok
}

func (h *hello) readALPN(f *fields) bool {
	list, ok := f.sized(2)
	if !ok {
		return false
	}
	h.alpn = []byte{}
	for len(list) > 0 {
		name, ok := list.sized(1)
		if !ok || len(name) == 0 {
			return false
		}
		if len(h.alpn) > 0 {
			h.alpn = append(h.alpn, ',')
		}
		h.alpn = append(h.alpn, name...)
	}
	return true
}

// fields are bytes that are consumed in order.
type fields []byte

func (f *fields) take(n int) (fields, bool) {
	if len(*f) < n {
		return nil, false
	}
	taken := (*f)[:n]
	*f = (*f)[n:]
	return taken, true
}

// sized reads bytes after their length, which itself has size bytes.
func (f *fields) sized(size int) (fields, bool) {
	head, ok := f.take(size)
	if !ok {
		return nil, false
	}
	n := 0
	for _, b := range head {
		n = n<<8 | int(b)
	}
	return f.take(n)
}

// versionNames are OpenSSL's.
var versionNames = map[[2]byte]string{
	{0, 2}: "SSLv2",
	{3, 0}: "SSLv3",
	{3, 1}: "TLSv1",
	{3, 2}: "TLSv1.1",
	{3, 3}: "TLSv1.2",
	{3, 4}: "TLSv1.3",
}
