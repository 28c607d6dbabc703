package h1

import (
	"io"
	"os"
	"syscall"
)

// fileJob is what SendFile sends; its callback takes no arguments.
type fileJob struct {
	try  func(fd uintptr) bool // trySendFile as a value, made once
	file int
	at   int64
	left int64
	err  error
}

// CanSendFile reports whether SendFile works on the connection: it is a socket without TLS.
func (w *Writer) CanSendFile() bool { return w.raw != nil }

// SendFile sends up to n bytes of a file from an offset, inside the kernel (sendfile). It returns when the socket's
// buffer is full after some progress, so that the caller can renew its deadline; sent is then less than n.
func (w *Writer) SendFile(file *os.File, from, n int64) (sent int64, err error) {
	job := &w.job
	if job.try == nil {
		job.try = w.trySendFile
	}
	job.file, job.at, job.left, job.err = int(file.Fd()), from, n, nil
	err = w.raw.Write(job.try)
	if err == nil {
		err = job.err
	}
	sent = n - job.left
	w.Bytes += sent
	return sent, err
}

// maxSendFileBytes is the most that one call of sendfile takes.
const maxSendFileBytes = 1 << 30

func (w *Writer) trySendFile(fd uintptr) bool {
	job := &w.job
	before := job.left
	for job.left > 0 {
		n, err := syscall.Sendfile(int(fd), job.file, &job.at, int(min(job.left, maxSendFileBytes)))
		if n > 0 {
			job.left -= int64(n)
		}
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return job.left < before
		case err != nil:
			job.err = err
			return true
		case n == 0: // the file has become shorter
			job.err = io.ErrUnexpectedEOF
			return true
		}
	}
	return true
}
