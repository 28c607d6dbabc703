package h1

// Limits bounds a request's head and controls unusual names. nginx takes them from the default server of the socket (or
// the one TLS named), because they apply before the Host header is known. Zero fields mean nginx's defaults, see
// DefaultLimits.
type Limits struct {
	HeaderBufferBytes int // client_header_buffer_size
	LargeBuffers      int // large_client_header_buffers <number> <size>
	LargeBufferBytes  int
	MaxHeaders        int // max_headers

	PassInvalidHeaders  bool // ignore_invalid_headers off
	UnderscoresAreValid bool // underscores_in_headers on
	KeepSlashes         bool // merge_slashes off
}

// DefaultLimits are nginx's.
var DefaultLimits = Limits{HeaderBufferBytes: 1 << 10, LargeBuffers: 4, LargeBufferBytes: 8 << 10, MaxHeaders: 1000}

// maxMethodBytes prevents a stream of letters from being read as a method until the buffer is full. No registered one
// exceeds 17.
const maxMethodBytes = 64

// maxBlankBytes bounds the empty lines before a request (RFC 9112, 2.2 asks to ignore at least one).
const maxBlankBytes = 64

// room counts as nginx fills its buffers: a line goes where it fits completely, otherwise into the next large buffer.
// So the limit does not depend on the slabs actually used.
type room struct {
	free int // bytes left in the current buffer
	used int // large buffers begun
}

// fits reports whether a line of size bytes (including the line end) has room; take reserves it.
func (r room) fits(size int, l *Limits) bool {
	return size <= r.free || size <= l.LargeBufferBytes && r.used < l.LargeBuffers
}

func (r *room) take(size int, l *Limits) {
	if size > r.free {
		r.used++
		r.free = l.LargeBufferBytes
	}
	r.free -= size
}
