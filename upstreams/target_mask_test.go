package upstreams

import "testing"

func TestTargetErrorsKeepPasswords(t *testing.T) {
	for _, text := range []string{"user:secret@host", "user:sec/ret@host/uri", "user:secret@host:80"} {
		_, err := ParseTarget(text, 80, true)
		if err == nil {
			t.Errorf("%s is a target", text)
			continue
		}
		if got, want := err.Error(), "invalid port in upstream \"user:***@host"; len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
