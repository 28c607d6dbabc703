package web

import (
	"fmt"
	"io"

	"starling/logs"
	"starling/web/h1"
)

// keptBody is the part of a request's body that was read ahead: all of it in memory, or all of it in a file. If no more
// can be kept, it is the beginning.
type keptBody struct {
	memory []byte
	slab   *h1.Slab // under memory, if that is not the read buffer
	file   *BodyFile
	whole  bool
	// borrowed is the body of a subrequest's parent, which outlives it.
	borrowed bool
}

func (k *keptBody) bytes() int64 {
	if k.file != nil {
		return k.file.Size
	}
	return int64(len(k.memory))
}

// dropKept drops the kept body, and removes its file, once no subrequest reads it any more.
func (r *Request) dropKept() {
	r.joinSubs()
	k := &r.kept
	if k.borrowed {
		*k = keptBody{}
		return
	}
	if k.slab != nil {
		k.slab.GiveBack()
	}
	if k.file != nil {
		k.file.stays = k.file.stays && k.whole // the name of half a body was not passed to anyone
		if err := k.file.release(); err != nil {
			r.Logf(logs.Alert, "cannot remove the temporary file of a request body: %v", err)
		}
	}
	*k = keptBody{}
}

// errBodyGone is a streamed body that an error page or another location needs again.
var errBodyGone = &bodyFault{
	502,
	logs.Error,
	"request body was streamed and cannot be read again; enable proxy_request_buffering",
}

// errSpoolFull rejects a body that must be stored in a file after the process reached its limit.
var errSpoolFull = &bodyFault{
	503,
	logs.Error,
	fmt.Sprintf("request bodies in temporary files reached the limit of %d bytes: lower client_max_body_size, limit "+
		"uploads with limit_conn, or turn proxy_request_buffering off", int64(maxSpooledBytes)),
}

// TakeBody takes, without waiting, the bytes of the body that arrived with the head; KeptBody returns them. The rest,
// unless BodyDone, must be read with ReadBody.
func (r *Request) TakeBody() error {
	k := &r.kept
	r.bodyAsked = true
	if r.refused {
		return nil
	}
	if r.bodyGone() {
		return r.noBodyAgain()
	}
	if k.whole || r.bodyRead > 0 {
		return nil
	}
	came, err := r.wire.TakeBody()
	if err = r.checkBody(len(came), err); err != nil {
		return err
	}
	k.memory, k.whole = came, r.wire.BodyDone()
	return nil
}

// bodyGone reports whether part of the body was read and not kept.
func (r *Request) bodyGone() bool { return r.kept.bytes() != r.bodyRead }

// noBodyAgain: a request that an error page turned into a GET continues without its body.
func (r *Request) noBodyAgain() error {
	r.dropKept()
	if r.MethodID == h1.MethodGet || r.MethodID == h1.MethodHead {
		return nil
	}
	return errBodyGone
}

// KeepBody reads the body before anything else is done with it, as in nginx: one that fits into client_body_buffer_size
// is kept in memory, a longer one in a file of client_body_temp_path. It can be called again. If the files of the
// process have reached their bound, it keeps what it has, and the rest must be read with ReadBody, unless all of it
// must be kept (whole, or client_body_in_file_only).
func (r *Request) KeepBody(whole bool) error {
	k, core := &r.kept, r.Location.Core
	first := !k.whole && r.bodyRead == 0
	if err := r.TakeBody(); err != nil {
		return err
	}
	inFile := core.BodyInFile != BodyFileIfLarge
	switch fits := int64(len(k.memory)) <= core.BodyBufferBytes; {
	case r.refused, k.file != nil, r.bodyGone(), k.whole && !inFile && (fits || !first):
		return nil
	}
	err := r.keepRest(whole || inFile, inFile)
	if err != nil {
		r.dropKept()
	}
	return err
}

func (r *Request) keepRest(whole, inFile bool) error {
	k, limit := &r.kept, r.Location.Core.BodyBufferBytes
	if !inFile && !k.whole && int64(len(k.memory)) < limit && r.ContentLength <= limit {
		if err := r.readIntoMemory(limit); err != nil || k.whole {
			return err
		}
	}
	return r.readIntoFile(whole)
}

// readIntoMemory reads until the body ends or the memory for it is full.
func (r *Request) readIntoMemory(limit int64) error {
	k := &r.kept
	size := r.ContentLength
	if size < 0 {
		size = max(arenaSlabBytes, 2*int64(len(k.memory)))
	}
	k.move(min(size, limit))
	for !r.wire.BodyDone() {
		used := int64(len(k.memory))
		if used == limit {
			return nil
		}
		if used == int64(len(k.slab.Mem)) {
			k.move(min(2*used, limit))
		}
		n, err := r.wire.ReadBody(r, k.slab.Mem[used:min(limit, int64(len(k.slab.Mem)))], r.Location.Core.BodyTimeout)
		k.memory = k.slab.Mem[:used+int64(n)]
		if err = r.checkBody(n, err); err != nil && err != io.EOF {
			return err
		}
	}
	k.whole = true
	return nil
}

// move moves the bytes in memory to a slab of at least that size.
func (k *keptBody) move(size int64) {
	next := h1.TakeSlab(int(max(size, int64(len(k.memory)))))
	k.memory = next.Mem[:copy(next.Mem, k.memory)]
	if k.slab != nil {
		k.slab.GiveBack()
	}
	k.slab = next
}

// Bounds of the bytes collected before a write to a file; between them it is client_body_buffer_size.
const (
	minSpoolBytes = 4 << 10
	maxSpoolBytes = 64 << 10
)

// readIntoFile moves the bytes in memory to a file and continues to read until the body ends or the bound is reached.
func (r *Request) readIntoFile(whole bool) error {
	k, core := &r.kept, r.Location.Core
	slab := h1.TakeSlab(int(min(max(core.BodyBufferBytes, minSpoolBytes), maxSpoolBytes)))
	defer slab.GiveBack()
	if k.file == nil {
		if opened, err := r.openBodyFile(int64(len(slab.Mem)), whole); !opened {
			return err
		}
	}
	for done := r.wire.BodyDone(); !done; {
		if !k.file.reserve(int64(len(slab.Mem))) {
			return r.spoolIsFull(whole)
		}
		used := 0
		for used < len(slab.Mem) && !done {
			n, err := r.wire.ReadBody(r, slab.Mem[used:], r.Location.Core.BodyTimeout)
			if err = r.checkBody(n, err); err != nil && err != io.EOF {
				return err
			}
			used += n
			done = r.wire.BodyDone()
		}
		if err := k.file.write(slab.Mem[:used]); err != nil {
			return err
		}
	}
	k.whole = true
	return nil
}

// openBodyFile makes the file and moves the bytes in memory there, if there is room for these and another piece.
func (r *Request) openBodyFile(pieceBytes int64, whole bool) (opened bool, err error) {
	k, core, spool := &r.kept, r.Location.Core, r.site.spool
	room := int64(len(k.memory)) + pieceBytes
	if !spool.take(room) {
		return false, r.spoolIsFull(whole)
	}
	named, level := core.BodyInFile != BodyFileIfLarge, logs.Warn
	if named {
		level = logs.Notice
	}
	if k.file, err = spool.create(&core.BodyPath, named); err != nil {
		spool.bytes.Add(-room)
		return false, err
	}
	k.file.reserved, k.file.stays = room, core.BodyInFile == BodyFileStays
	r.Logf(level, "a client request body is buffered to a temporary file %s", k.file.Name)
	if err := k.file.write(k.memory); err != nil {
		return false, err
	}
	r.joinSubs()
	if k.slab != nil {
		k.slab.GiveBack()
	}
	k.memory, k.slab = nil, nil
	return true, nil
}

// spoolIsFull lets the rest of the body be streamed, unless all of it must be kept.
func (r *Request) spoolIsFull(whole bool) error {
	if whole {
		return errSpoolFull
	}
	r.Logf(logs.Warn, "%s; streaming this one", errSpoolFull.text)
	return nil
}
