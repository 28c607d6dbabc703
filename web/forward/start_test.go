package forward_test

import (
	"strings"
	"time"

	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/web"
	"starling/web/webtest"
)

// The tests speak HTTP/1.1 to servers: the protocol that has all features of the kit.
var modules = []*web.Module{&core.Module, &proxy.Module}

// patience is how long a script waits for bytes before the test has failed.
const patience = time.Minute

const crlf = "\r\n"

// start runs a server with one location that proxies to b; BACKEND in the text stands for its address.
func start(b *webtest.Backend, text string) *webtest.Server {
	if !strings.Contains(text, "location") {
		text = "location / { proxy_pass http://BACKEND; " + text + " }"
	}
	return b.Behind(modules, text)
}
