package modules_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"starling/modules"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// A certificate's name may have any variable. There is no request during a handshake: whatever a variable looks at must
// do without. The file's name is there only so that the variable is evaluated: that it is missing, or its name wrong,
// ends the handshake.
func TestEveryVariableDuringAHandshake(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		names := []string{"${mapped}", "$1"}
		for _, m := range modules.Web() {
			for _, v := range m.Variables {
				names = append(names, placeholder(v.Name, v.Prefix))
			}
		}
		s := webtest.Start(t, modules.Web(), "access_log off; map $uri$request_body $mapped { default x; }"+
			each(names, `server { listen 127.0.0.1:%d ssl; ssl_certificate "/missing/%s"; ssl_certificate_key key; }`))
		for i, name := range names {
			fails(t, name, tls.Client(s.DialLoopbackPort(i), &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"}), s.Log.Lines)
		}
	})
	t.Run("stream", func(t *testing.T) {
		names := []string{"${mapped}", "$1"}
		for _, m := range modules.Stream() {
			for _, v := range m.Variables {
				names = append(names, placeholder(v.Name, v.Prefix))
			}
		}
		s := streamtest.Start(t, "stream { map $ssl_server_name $mapped { default x; }"+
			each(names, `server { listen 127.0.0.1:%d ssl; ssl_certificate "/missing/%s"; ssl_certificate_key key; return x; }`)+"}",
			streamtest.Files{}, modules.Stream()...)
		for i, name := range names {
			fails(t, name, tls.Client(s.Dial(i), &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"}), s.Log.Lines)
		}
	})
}

// placeholder is a variable in a text; one that stands for many gets a name.
func placeholder(variable string, prefix bool) string {
	if prefix {
		variable += "x"
	}
	return "${" + variable + "}"
}

func each(names []string, server string) string {
	var text strings.Builder
	for i, name := range names {
		fmt.Fprintf(&text, server, 10000+i, name)
	}
	return text.String()
}

// fails looks for a handshake that ended in the error that it should end in.
func fails(t *testing.T, name string, conn *tls.Conn, lines func() []string) {
	t.Helper()
	defer conn.Close()
	if err := conn.Handshake(); err == nil {
		t.Errorf("%s: the handshake did not fail", name)
	}
	if all := strings.Join(lines(), "\n"); !strings.Contains(all, "] *") || !strings.Contains(all, "a certificate") &&
		!strings.Contains(all, "load certificate") || strings.Contains(all, "panic") {
		t.Errorf("%s: the log has %q", name, all)
	}
}
