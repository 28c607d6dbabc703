package process

import (
	"testing"

	"starling/lib/passfd"
)

// The end of a child is reported after its last message, which has the reason, even if that is read later.
func TestTheLastMessageComesBeforeTheExit(t *testing.T) {
	for range 20 {
		conn, end, err := passfd.Pair()
		if err != nil {
			t.Fatal(err)
		}
		child, err := passfd.Open(end)
		if err != nil {
			t.Fatal(err)
		}
		b := newSibling(nil, conn)
		go b.exited("exited with status 1")
		text := []byte(`{"kind": "failed", "text": "bind() failed"}`)
		if err := child.Send(text); err != nil {
			t.Fatal(err)
		}
		if err := child.Close(); err != nil {
			t.Fatal(err)
		}
		go b.listen()
		if m := <-b.events; m.Kind != kindFailed || m.Text != "bind() failed" {
			t.Fatalf("the first message is %+v", m)
		}
		<-b.events
		<-b.events
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
