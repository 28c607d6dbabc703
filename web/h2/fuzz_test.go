package h2

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"starling/web/h1"
)

// FuzzConn sends what a stranger may send: the connection ends when the client does, nothing panics, and no frame that
// comes back is broken.
func FuzzConn(f *testing.F) {
	get := "\x82\x86\x84\x41\x01a"
	f.Add([]byte(frame(frameHeaders, 5, 1, get) + frame(frameHeaders, 5, 3, get) + frame(framePing, 0, 0, "12345678")))
	f.Add([]byte(frame(frameHeaders, 4, 1, get) + frame(frameData, flagPadded, 1, "\x02abcde") + frame(frameHeaders, 5, 1, "\x40\x01a\x01b")))
	f.Add([]byte(frame(frameHeaders, 0, 1, get) + frame(frameContinuation, 4, 1, "\x40\x01a\x01b") + frame(frameReset, 0, 1, "\x00\x00\x00\x08")))
	f.Add([]byte(frame(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00") + frame(frameWindowUpdate, 0, 0, "\x00\x00\x00\x01")))
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		var in h1.Buffer
		in.Attach(far)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			NewConn(far, far, &in, testSettings, &answers{serve: echo}).Serve()
			in.Detach()
		}()
		came := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(near)
			came <- all
		}()
		near.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(near, Preface); err != nil {
			t.Fatal(err)
		}
		near.Write(sent) // fails where the server closed first
		near.Close()
		<-ended
		for all := bytes.NewReader(<-came); all.Len() >= frameHeaderBytes; {
			head := make([]byte, frameHeaderBytes)
			all.Read(head)
			h := readFrameHead(head)
			if h.kind > frameContinuation || h.length > defaultFrameBytes {
				t.Fatalf("a frame of type %d and length %d came back", h.kind, h.length)
			}
			if _, err := all.Seek(int64(h.length), io.SeekCurrent); err != nil {
				t.Fatal(err)
			}
		}
	})
}
