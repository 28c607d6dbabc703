package web

import (
	"errors"
	"io"
	"os"

	"starling/logs"
	"starling/nginx/errno"
	"starling/web/h1"
)

// copyBytes is how much of a file is read at once if it passes through memory.
const copyBytes = 32 << 10

// fileSender is a Wire that can send a part of a file without copying it through memory. It sends the head before it if
// that waits.
type fileSender interface {
	canSendFile(r *Request) bool
	sendFile(r *Request, file *os.File, from, n int64) error
}

// ErrTruncated means that a file has become shorter while it was sent.
var ErrTruncated = errors.New("the file was truncated while sending")

// SendFile sends a part of a file, as the end of the body if that has a length. The kernel copies it if nothing else
// needs to see the bytes: no filter, no TLS, no rate limit. A file that has become shorter ends the connection, because
// the length was promised: ErrTruncated, which is logged.
func (r *Request) SendFile(file *os.File, from, n int64) error {
	if err := r.SendHead(); err != nil || r.failure != nil {
		return r.failure
	}
	if r.noBody {
		return nil
	}
	if sender, ok := r.wire.(fileSender); ok && n > lastPieceBytes && r.bodyStaysAsIs() && sender.canSendFile(r) {
		return r.sendFile(sender, file, from, n)
	}
	slab := h1.TakeSlab(int(min(n, copyBytes)))
	defer slab.GiveBack()
	for n > 0 {
		piece := slab.Mem[:min(int64(len(slab.Mem)), n)]
		got, err := file.ReadAt(piece, from)
		if got > 0 {
			if _, err := r.Write(piece[:got]); err != nil {
				return err
			}
			from, n = from+int64(got), n-int64(got)
		}
		if err != nil && n > 0 {
			return r.fileFailed(file, err)
		}
	}
	return nil
}

// bodyStaysAsIs reports whether the pieces of the body reach the wire unchanged and at once.
func (r *Request) bodyStaysAsIs() bool {
	return len(r.bodies)+len(r.before)+len(r.after) == 0 && !r.cut.on && r.rate == 0 && r.Out.ContentLength >= 0 &&
		r.Out.Trailer == nil
}

// sendFile is emit for a part of a file.
func (r *Request) sendFile(sender fileSender, file *os.File, from, n int64) error {
	left := r.Out.ContentLength - r.bodyBytes
	if n > left {
		r.keep = false
		return r.note(errTooLong)
	}
	if err := r.writeHead(); err != nil {
		return r.note(err)
	}
	last := n == left
	if last && len(r.dones) > 0 {
		first := n - lastPieceBytes
		if err := r.sendPart(sender, file, from, first); err != nil {
			return err
		}
		if from, n = from+first, lastPieceBytes; r.wire.Takes(r, lastPieceBytes) {
			r.settle()
		}
	}
	if err := r.sendPart(sender, file, from, n); err != nil {
		return err
	}
	if r.ended = last; last {
		r.settle()
	}
	return nil
}

func (r *Request) sendPart(sender fileSender, file *os.File, from, n int64) error {
	err := sender.sendFile(r, file, from, n)
	if err == io.ErrUnexpectedEOF {
		return r.fileFailed(file, err)
	}
	return r.note(err)
}

func (r *Request) fileFailed(file *os.File, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		r.Logf(logs.Alert, "file \"%s\" was truncated while sending", file.Name())
		err = ErrTruncated
	} else {
		r.Logf(logs.Alert, "%v", errno.Call("pread", file.Name(), err))
	}
	r.note(ErrBroken) // the reason is logged
	return err
}

func (w *h1Wire) canSendFile(r *Request) bool { return !w.chunked && r.Conn.out.CanSendFile() }

func (w *h1Wire) sendFile(r *Request, file *os.File, from, n int64) error {
	c := r.Conn
	if err := w.Flush(r); err != nil {
		return err
	}
	for n > 0 {
		c.writeWithin(r.Location.Core.SendTimeout)
		sent, err := c.out.SendFile(file, from, n)
		r.bodyBytes += sent
		if from, n = from+sent, n-sent; err != nil {
			return err
		}
	}
	return nil
}
