package guide

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"starling/e2e/harness"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// connectionsAndDatagrams: example tcp-udp.
func connectionsAndDatagrams(cl *harness.Cluster) {
	for _, host := range []int{101, 102} {
		echoDatagrams(cl, fmt.Sprintf("%s.%d:9514", cl.Net, host), fmt.Sprint("server", host))
	}
	startAll(cl)
	for _, n := range cl.Nodes {
		n.Wants(200, "*", "GET", "http://"+n.IP+":5432/", "") // the servers of the test speak HTTP on their TCP ports
		conn, err := net.Dial("udp", n.IP+":9514")
		if err != nil {
			cl.T.Fatal(err)
		}
		defer conn.Close()
		answers := map[string]bool{}
		for range 5 { // one client, one server
			testkit.Eventually(cl.T, harness.Patience, func() error {
				answer, err := ask(conn, "hello")
				answers[answer] = err == nil
				return err
			})
		}
		delete(answers, "")
		if len(answers) != 1 {
			cl.T.Errorf("datagrams of one client went to %v", answers)
		}
	}
}

func echoDatagrams(cl *harness.Cluster, address, name string) {
	cl.T.Helper()
	server, err := net.ListenPacket("udp", address)
	if err != nil {
		cl.T.Fatal(err)
	}
	cl.T.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo([]byte(name), from) // a lost answer is asked for again
		}
	}()
}

func ask(conn net.Conn, text string) (answer string, err error) {
	buf := make([]byte, 100)
	if _, err = io.WriteString(conn, text); err == nil {
		if err = conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err == nil {
			var n int
			n, err = conn.Read(buf)
			return string(buf[:n]), err
		}
	}
	return "", err
}

// colorOfAllNodes: example blue-green.
func colorOfAllNodes(cl *harness.Cluster) {
	startAll(cl)
	cl.Joined(3)
	all := func(want string) {
		cl.T.Helper()
		for _, n := range cl.Nodes {
			n.Sees("/", want)
		}
	}
	all("backend101")
	n := cl.Nodes[0]
	n.Wants(201, "*", "POST", "/api/9/http/keyvals/deployment", `{"live":"green"}`)
	all("backend102")
	n.Wants(200, "backend101", "GET", "/blue/", "")
	cl.Nodes[2].Wants(204, "", "PATCH", "/api/9/http/keyvals/deployment", `{"live":"blue"}`)
	all("backend101")
	n.Wants(200, "backend102", "GET", "/green/", "")
}

// versionByUser: example canary.
func versionByUser(cl *harness.Cluster) {
	startAll(cl)
	versions := map[string]int{}
	for i := range 200 {
		user := fmt.Sprint("user=", i)
		version := cl.Nodes[0].Must("GET", "/", "", "Cookie", user).Header.Get("X-Version")
		versions[version]++
		if other := cl.Nodes[1].Must("GET", "/", "", "Cookie", user).Header.Get("X-Version"); other != version {
			cl.T.Errorf("%s gets %s at one node, %s at another", user, version, other)
		}
	}
	if versions["canary"] < 5 || versions["canary"] > 40 || versions["canary"]+versions["stable"] != 200 {
		cl.T.Errorf("of 200 users: %v", versions)
	}
	cl.Nodes[2].Wants(200, "backend103", "GET", "/", "", "X-Version", "canary")
}

// pagesPurgedAtAllNodes: example cache.
func pagesPurgedAtAllNodes(cl *harness.Cluster) {
	startAll(cl)
	cl.Joined(3)
	stored := func(n *harness.Node, page, want string) {
		cl.T.Helper()
		testkit.Eventually(cl.T, harness.Patience, func() error {
			if got := n.Must("GET", page, "").Header.Get("X-Cache"); got != want {
				return fmt.Errorf("%s has %s as %s, want %s", n.Name, page, got, want)
			}
			return nil
		})
	}
	for _, purge := range []string{"/news/1", "/news/*"} {
		for _, n := range cl.Nodes {
			stored(n, "/news/1", "HIT")
			stored(n, "/about", "HIT")
		}
		cl.Nodes[1].Wants(204, "", "PURGE", purge, "")
		for _, n := range cl.Nodes {
			stored(n, "/news/1", "MISS")
			stored(n, "/about", "HIT")
		}
	}
}

// serverByName: example tls-passthrough.
func serverByName(cl *harness.Cluster) {
	names := map[string]string{"app.example.com": "app", "admin.example.com": "admin", "other.example.com": "app"}
	for host, name := range map[int]string{101: "app", 102: "admin"} {
		serveTLS(cl, fmt.Sprintf("%s.%d:8443", cl.Net, host), name)
	}
	startAll(cl)
	for _, n := range cl.Nodes {
		for asked, want := range names {
			testkit.Eventually(cl.T, harness.Patience, func() error {
				conn, err := tls.Dial("tcp", n.IP+":8443", &tls.Config{ServerName: asked, InsecureSkipVerify: true})
				if err != nil {
					return err
				}
				defer conn.Close()
				// The certificate is that of the server behind: nothing was decrypted before.
				if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
					return fmt.Errorf("%s is the server of %s, want %s", got, asked, want)
				}
				return nil
			})
		}
	}
}

// serveTLS serves handshakes with a certificate of that name.
func serveTLS(cl *harness.Cluster, address, name string) {
	cl.T.Helper()
	own, err := certs.Make(certs.Request{Subject: certs.Subject{CommonName: "CA of " + name},
		From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), KeyType: "p256"})
	if err != nil {
		cl.T.Fatal(err)
	}
	certificate, key, err := own.Sign(certs.Request{Subject: certs.Subject{CommonName: name}, DNSNames: []string{name},
		From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), KeyType: "p256"})
	if err != nil {
		cl.T.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		cl.T.Fatal(err)
	}
	server, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		cl.T.Fatal(err)
	}
	cl.T.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // makes the handshake, and waits for the client's end
			}()
		}
	}()
}

// figuresOfEachNode: example monitoring.
func figuresOfEachNode(cl *harness.Cluster) {
	startAll(cl)
	for _, n := range cl.Nodes {
		own := "http://" + n.IP + ":8081"
		n.Must("GET", "/", "")
		n.Sees(own+"/ready", `{"ready":true}`)
		n.Wants(200, "alive\n", "GET", own+"/alive", "")
		metrics := n.Must("GET", own+"/metrics", "").Body
		for _, want := range []string{"starling_ready 1", `zone="site"`, `zone="pages"`, `upstream="app"`} {
			if !strings.Contains(metrics, want) {
				cl.T.Errorf("the metrics of %s lack %s", n.Name, want)
			}
		}
		n.Wants(405, "*", "POST", own+"/api/9/http/keyvals/flags", `{"a":"b"}`)
	}
}

// clientsOfHealthyServers: example health-checks. Nobody stands in for its Redis.
func clientsOfHealthyServers(cl *harness.Cluster) {
	startAll(cl)
	for _, n := range cl.Nodes {
		api := "http://" + n.IP + ":8081/api/9"
		for path, want := range map[string]struct {
			state string
			peers int
		}{"/http/upstreams/app": {"up", 3}, "/stream/upstreams/redis": {"unhealthy", 2}} {
			testkit.Eventually(cl.T, harness.Patience, func() error {
				r, err := n.Do("GET", api+path, "")
				if err == nil && strings.Count(r.Body, `"state":"`+want.state+`"`) != want.peers {
					err = fmt.Errorf("%s: %s", path, r.Body)
				}
				return err
			})
		}
		n.Wants(200, "*", "GET", "/", "")
	}
}
