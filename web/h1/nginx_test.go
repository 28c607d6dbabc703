package h1

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
)

const nginxConf = `daemon off; master_process off; pid nginx.pid; error_log stderr emerg;
events { }
http {
    access_log off;
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server { listen unix:%[1]s/on; add_header X-URI "$uri" always; add_header X-Args "$args" always; return 204; }
    server { listen unix:%[1]s/off; merge_slashes off; add_header X-URI "$uri" always; add_header X-Args "$args" always; return 204; }
}
`

// startNginx runs the real one, where it is installed, and gives the folder of its sockets.
func startNginx(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx here to compare with")
	}
	dir := testkit.SocketDir(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, "-p", dir, "-c", conf, "-e", "stderr")
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		server.Wait()
	})
	testkit.Eventually(t, time.Minute, func() error {
		c, err := net.Dial("unix", dir+"/off")
		if err == nil {
			c.Close()
		}
		return err
	})
	return dir
}

// answer is what nginx said, read by hand: net/http would not take a decoded control in a header.
type answer struct {
	status    int
	uri, args string
}

func ask(t *testing.T, socket, request string) (a answer) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	text := string(all)
	if _, err := fmt.Sscanf(text, "HTTP/1.1 %d", &a.status); err != nil {
		fmt.Sscanf(text, "<html>\r\n<head><title>%d", &a.status) // an error page to HTTP/0.9
	}
	field := func(name string) string {
		_, rest, _ := strings.Cut(text, "\r\n"+name+": ")
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	a.uri, a.args = field("X-URI"), field("X-Args")
	return a
}

// Paths made of the dangerous pieces become what nginx makes of them, or are refused as nginx does.
func TestNormaliseBesideNginx(t *testing.T) {
	dir := startNginx(t)
	parts := []string{"/", "//", ".", "..", "%2e", "%2E", "%2f", "%25", "%3f", "%23", "a", "b", "%61", "%", "%0", "%00", "?", "#", "x.y", "+", "%20", "~"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		target := "/"
		for range random.IntN(8) {
			target += parts[random.IntN(len(parts))]
		}
		merge := random.IntN(2) == 0
		socket := dir + "/off"
		if merge {
			socket = dir + "/on"
		}
		res := ask(t, socket, "GET "+target+" HTTP/1.0\r\n\r\n")
		path, args, ok := Normalise(nil, []byte(target), merge)
		switch {
		case ok != (res.status == 204):
			t.Errorf("%q (merge %v): nginx answers %d, we %q %v", target, merge, res.status, path, ok)
		case ok && (res.uri != string(path) || res.args != string(args)):
			t.Errorf("%q (merge %v): nginx has %q ?%q, we %q ?%q", target, merge, res.uri, res.args, path, args)
		}
	}
}

// What nginx refuses, we refuse with the same status. The exceptions are ours on purpose, or what nginx too refuses
// since 1.29.
func TestRefusalsBesideNginx(t *testing.T) {
	dir := startNginx(t)
	stricter := map[string]bool{"two spaces": true, "space after version": true, "no colon": true, "two CR": true,
		"endless method": true, "HTTP/1.10": true, "endless empty lines": true, "vertical tab coding": true}
	newer := map[string]bool{"port too large": true, "host with user": true, "CONNECT": true, "CONNECT with a path": true}
	for _, c := range badRequests {
		status := ask(t, dir+"/on", c.text).status
		if status != c.status && !stricter[c.name] && !newer[c.name] {
			t.Errorf("%s: nginx answers %d, we %d", c.name, status, c.status)
		}
		if status == c.status && stricter[c.name] {
			t.Errorf("%s: nginx answers %d too: it is no exception", c.name, status)
		}
	}
	// nginx does not take a tab for white space (RFC 9110, 5.6.3 does); it answers 0.9 without a head and expectations
	// with 100 first.
	other := map[string]bool{"white space around values": true, "0.9": true, "expect": true}
	for _, c := range goodRequests {
		if got := ask(t, dir+"/on", c.text); !other[c.name] && got.status != 204 {
			t.Errorf("%s: nginx answers %d, we take it", c.name, got.status)
		}
	}
}
