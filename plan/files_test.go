package plan

import (
	"testing"
	"testing/fstest"

	"starling/ssl"
)

// pipes are files that can be read once.
type pipes struct{ fstest.MapFS }

func (p pipes) ReadFile(name string) ([]byte, error) {
	data, err := p.MapFS.ReadFile(name)
	delete(p.MapFS, name)
	return data, err
}

func TestFilesAreReadOncePerConfiguration(t *testing.T) {
	p := New()
	p.FS = pipes{fstest.MapFS{"etc/key": {Data: []byte("secret")}}}
	for range 2 {
		if data, err := p.ReadFile("/etc/key"); err != nil || string(data) != "secret" {
			t.Fatal(string(data), err)
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReadFile("/etc/key"); err == nil {
		t.Error("the plan remembers the file for ever")
	}
	p.FS = fstest.MapFS{"etc/key": {Data: []byte("new")}}
	if data, err := p.ReadFile("/etc/key"); err != nil || string(data) != "new" {
		t.Error(string(data), err)
	}
}

func TestSessionCachesOutliveAReload(t *testing.T) {
	words := ssl.CacheWords{Name: "one", Bytes: 1 << 20}
	before, after := New(), New()
	after.Old = before
	kept, err := before.SessionCache(words)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := after.SessionCache(words); err != nil || c != kept {
		t.Error("another cache", err)
	}
}

func TestKeysOfTicketsOutliveAReload(t *testing.T) {
	before := New()
	keys := before.TicketKeys()
	after := New()
	after.Old = before
	if after.TicketKeys() != keys || before.TicketKeys() != keys {
		t.Error("the keys have changed")
	}
	if New().TicketKeys() == keys {
		t.Error("two processes share keys")
	}
}
