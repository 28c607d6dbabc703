package h2

// begin opens a stream for a complete header block, or refuses it. The block is always decoded, because the table must
// see all of them.
func (c *Conn) begin(h frameHead, block []byte) error {
	defer c.dropBlock()
	ended := h.has(flagEndStream)
	s, err := c.open(h.stream, ended)
	if err != nil {
		return err
	}
	if s == nil {
		err := c.dec.decode(block, &c.spare, func(field) {})
		c.spare.Reset()
		return err
	}
	s.fields.Begin(&s.Head, c.settings.Limits)
	s.Head.Bytes = len(block)
	if err := c.dec.decode(block, &s.memory, func(f field) { s.fields.Add(f.name, f.value, f.id) }); err != nil {
		c.mu.Lock()
		c.close(s)
		c.mu.Unlock()
		return err
	}
	s.Problem = s.fields.Finish(ended)
	c.mu.Lock()
	s.declared = s.Head.ContentLength
	c.mu.Unlock()
	c.usefulBytes += int64(len(block))
	go s.start()
	return nil
}

// open makes the stream of a HEADERS frame; nil if it is not served.
func (c *Conn) open(id uint32, ended bool) (*Stream, error) {
	last := c.handler.Last(c.served + 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seenID = id
	if c.goingAway {
		return nil, nil // the client was told that it is not
	}
	c.lastID = id
	c.newStreams++
	if c.waits() && !c.announced {
		c.announce()
	}
	refusal := ""
	switch {
	case len(c.streams) >= c.settings.MaxStreams:
		refusal = "concurrent streams exceeded"
	case c.newStreams > 2*c.settings.MaxStreams:
		refusal = "client sent too many streams at once"
	case !c.acked && !ended && c.settings.PrereadBytes < defaultWindow:
		refusal = "client sent stream with data before settings were acknowledged"
	}
	if refusal != "" {
		c.handler.Logf("%s while processing HTTP/2 connection", refusal)
		if c.refused++; c.refused > max(c.settings.MaxStreams, minRefusals) {
			return nil, failed(CodeNone, "client sent too many refused streams")
		}
		c.queue(appendReset(make([]byte, 0, frameHeaderBytes+4), id, CodeRefusedStream))
		return nil, nil
	}
	if last {
		c.goAway(CodeNone)
	}
	c.priorities += c.settings.MaxStreams
	s := takeStream()
	c.served++
	s.conn, s.ID, s.Number, s.ended, s.over = c, id, c.served, ended, ended
	preread := int64(c.settings.PrereadBytes)
	s.sendWindow, s.recvWindow, s.window = c.initialWindow, preread, preread
	s.declared = -1
	if len(c.streams) == 0 {
		c.handler.Idle(false)
	}
	c.streams[id] = s
	return s, nil
}

// close drops a stream whose handler has returned. Must be called with the lock held.
func (c *Conn) close(s *Stream) {
	switch {
	case s.gone != nil || c.failure != nil:
	case !s.finished:
		code := CodeInternal
		if s.timedOut {
			code = CodeProtocol // as nginx has it
		}
		c.resets = appendReset(c.resets, s.ID, code)
	case !s.ended:
		// The response is complete; the rest of the body is not needed (RFC 9113, 8.1) or wrong (8.1.1).
		code := CodeNone
		if s.malformed() {
			code = CodeProtocol
		}
		c.resets = appendReset(c.resets, s.ID, code)
	}
	c.kick()
	if s.over {
		c.over.add(s.ID)
	}
	delete(c.streams, s.ID)
	for i, other := range c.blocked {
		if other == s {
			c.blocked[i] = c.blocked[len(c.blocked)-1]
			c.blocked[len(c.blocked)-1] = nil
			c.blocked = c.blocked[:len(c.blocked)-1]
			break
		}
	}
	s.giveBack()
	if len(c.streams) > 0 {
		return
	}
	c.idleSince = now()
	c.handler.Idle(true)
	if c.goingAway {
		c.closing = true
		c.wakeReader()
	}
	c.changed.Broadcast()
}

// reset ends a stream from this side. Must be called with the lock held.
func (c *Conn) reset(s *Stream, code Code) {
	if s.gone == nil {
		c.queue(appendReset(make([]byte, 0, frameHeaderBytes+4), s.ID, code))
		s.abandon(ErrReset)
	}
}
