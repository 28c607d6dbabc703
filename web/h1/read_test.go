package h1

// ReadRequest reads one head: Parse and Fill until it is whole. An end of file before its first byte is io.EOF, inside
// it io.ErrUnexpectedEOF. The head must have been Reset.
func ReadRequest(b *Buffer, h *RequestHead, l *Limits) error {
	for {
		whole, err := h.Parse(b, l)
		if whole || err != nil {
			return err
		}
		if err := b.Fill(); err != nil {
			if h.stage == stageLine {
				h.Line = b.Unread() // for the log
			}
			return midMessage(err, h.stage != stageLine || len(b.Unread()) > 0)
		}
	}
}

// ReadResponse reads one head of at most maxBytes (proxy_buffer_size): Parse and Fill until it is whole. An end of file
// before its first byte is io.EOF (a kept connection that the server closed: try another), inside it
// io.ErrUnexpectedEOF.
func ReadResponse(b *Buffer, h *ResponseHead, maxBytes int) error {
	for {
		whole, err := h.Parse(b, maxBytes)
		if whole || err != nil {
			return err
		}
		if err := b.Fill(); err != nil {
			return midMessage(err, h.stage != stageLine || len(b.Unread()) > 0)
		}
	}
}

// Normalise is normalise for a caller that keeps no memory.
func Normalise(dst, target []byte, mergeSlashes bool) (path, args []byte, ok bool) {
	path, args, _, ok = normalise(dst, target, mergeSlashes)
	return path, args, ok
}
