package beside

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// documentsToCompare are documents, and some more.
func documentsToCompare(t *testing.T) string {
	t.Helper()
	dir := documents(t)
	addDocuments(t, dir, map[string]string{
		"page.shtml": `<!--#echo var="arg_a" default="none" -->-<!--#if expr="$arg_b" -->b<!--#else -->no b<!--#endif -->` + "\n", "z.gif": "GIF89a",
		"a.html": strings.Repeat("a long page of HTML </body>\n", 20),
	})
	return dir
}

// listening accepts connections until the test ends.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// closer is a server that reads a head and closes.
func closer(t *testing.T) string {
	return listening(t, func(conn net.Conn) {
		defer conn.Close()
		readRequest(bufio.NewReader(conn)) // whatever it is
	})
}

// backend answers with the request as it came, or as the path asks for. It takes what any other server would reject.
func backend(t *testing.T) string {
	return listening(t, func(conn net.Conn) {
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for {
			head, body, err := readRequest(reader)
			if err != nil {
				return
			}
			if closes := reply(conn, head, body); closes {
				return
			}
		}
	})
}

func readRequest(reader *bufio.Reader) (head, body string, err error) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		head += line
		if line == "\r\n" {
			break
		}
	}
	lower := strings.ToLower(head)
	if strings.Contains(lower, "\r\ntransfer-encoding: chunked\r\n") {
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return "", "", err
			}
			n, err := strconv.ParseUint(strings.TrimSpace(line), 16, 31)
			if err != nil {
				return "", "", err
			}
			chunk := make([]byte, n+2)
			if _, err := io.ReadFull(reader, chunk); err != nil {
				return "", "", err
			}
			body += string(chunk[:n])
			if n == 0 {
				return head, body, nil
			}
		}
	}
	if _, after, ok := strings.Cut(lower, "\r\ncontent-length: "); ok {
		n, err := strconv.Atoi(after[:strings.IndexByte(after, '\r')])
		if err != nil {
			return "", "", err
		}
		buffer := make([]byte, n)
		if _, err := io.ReadFull(reader, buffer); err != nil {
			return "", "", err
		}
		body = string(buffer)
	}
	return head, body, nil
}

// reply sends the response that the path of a request asks for.
func reply(conn io.Writer, head, body string) (closes bool) {
	line, _, _ := strings.Cut(head, "\r\n")
	fields := "X-Answer: yes\r\nx-lower: Kept\r\nServer: backend\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n"
	status, text := "200 Fine", "\n"+sortedFields(head)+body
	kind := "text/plain"
	if _, code, ok := strings.Cut(line, "/s"); ok && len(code) >= 3 {
		if n, err := strconv.Atoi(code[:3]); err == nil && n >= 200 {
			status = code[:3] + " Odd Reason"
		}
	}
	has := func(word string) bool { return strings.Contains(line, word) }
	switch {
	case has("/location") || has("/s302"):
		fields += "Location: http://" + field(head, "Host") + "/location/x\r\nRefresh: 5; url=/x\r\n"
	case has("/cookies"):
		fields += "Set-Cookie: a=1; Path=/; Domain=back.example\r\nSet-Cookie: b=2; path=/x\r\n"
	case has("/accel"):
		fields += "X-Accel-Redirect: /a.txt\r\nX-Accel-Charset: koi8-r\r\n"
	case has("/cache"):
		fields += "Cache-Control: no-cache\r\nExpires: Thu, 01 Jan 1970 00:00:01 GMT\r\nETag: \"e1\"\r\n"
	case has("/date"):
		fields += "Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\nETag: W/\"weak\"\r\nAccept-Ranges: bytes\r\n"
	case has("/ssi"):
		kind, text = "text/html", `<!--#echo var="uri" -->`+"\n"
	case has("/gzip"):
		var packed strings.Builder
		writer := gzip.NewWriter(&packed)
		io.WriteString(writer, text)
		writer.Close()
		fields, text = fields+"Content-Encoding: gzip\r\n", packed.String()
	case has("/empty"):
		text = ""
	}
	fields += "Content-Type: " + kind + "\r\n"
	silent := strings.HasPrefix(line, "HEAD ") || strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304")
	closes = has("/close") || strings.HasSuffix(line, "1.0")
	if closes { // or a proxy could use the connection before it sees the end
		fields += "Connection: close\r\n"
	}
	switch {
	case has("/chunked") && strings.HasSuffix(line, "1.1") && !silent:
		text = fmt.Sprintf("5\r\nfirst\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
		fields += "Transfer-Encoding: chunked\r\n"
	case has("/close"): // without a length
	case !silent || strings.HasPrefix(line, "HEAD "):
		fields += fmt.Sprintf("Content-Length: %d\r\n", len(text))
	}
	if silent {
		text = ""
	}
	_, err := io.WriteString(conn, "HTTP/1.1 "+status+"\r\n"+fields+"\r\n"+text)
	return closes || err != nil
}

// sortedFields orders the fields of a head by name, because it means nothing.
func sortedFields(head string) string {
	return normalisedHead(strings.TrimSuffix(head, "\r\n\r\n"), head)
}
