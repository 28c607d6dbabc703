package harness

import (
	"fmt"
	"net"
	"net/http"
)

// Backend serves on an address and answers with its name; it sets the session cookie requested with ?session=.
func (c *Cluster) Backend(host int, name string) string {
	c.T.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s.%d:9100", c.Net, host))
	if err != nil {
		c.T.Fatal(err)
	}
	srv := &http.Server{Handler: sessionHandler(name)}
	go func() { _ = srv.Serve(l) }() // ends with Close below
	c.T.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// sessionHandler answers with a name and sets the requested cookie.
func sessionHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := r.URL.Query().Get("session"); s != "" {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: s})
		}
		fmt.Fprint(w, name)
	})
}
