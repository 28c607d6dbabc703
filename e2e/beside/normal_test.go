package beside

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Known differences that generated configurations reach, each taken away in one place. The tables of
// docs/compatibility.md have them.
var (
	// Each names itself: in Server, and in the pages of errors, whose length goes with the name.
	ownPage = regexp.MustCompile(`(nginx|starling)(/[\d.]+)?`)
	// The addresses differ, so that both can have the same port.
	ownAddress = regexp.MustCompile(`127\.0\.1\.[12]`)
	// The time of the answer.
	later = regexp.MustCompile(`(?m)^Expires: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w+ 20[2-9]\d .*\r$`)
	// A part's boundary is a counter in one and random in the other.
	ownBoundary = regexp.MustCompile(`(--|boundary=)\d{20}`)
)

// exchanged sends raw bytes and gives all that comes until the server closes, or until the deadline of the connection.
func exchanged(conn net.Conn, raw string) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return err.Error()
	}
	go io.WriteString(conn, strings.ReplaceAll(raw, "ADDRESS", host)) // ends early where the server does
	all, err := io.ReadAll(conn)
	if err != nil && len(all) == 0 && reason(err) == "reset" {
		return "" // closed without a response: whether with a reset depends on what nobody has read
	}
	if err != nil {
		return string(all) + " and then " + reason(err)
	}
	return string(all)
}

func reason(err error) string {
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return "stays open"
	}
	return "reset"
}

// normalised is an answer without what differs between the two for a known reason.
func normalised(answer string, methods []string) string {
	answer = ownAddress.ReplaceAllString(answer, "127.0.1.0")
	var all strings.Builder
	for _, method := range methods {
		if !strings.HasPrefix(answer, "HTTP/1.") {
			break
		}
		head, rest, whole := strings.Cut(answer, "\r\n\r\n")
		if !whole {
			break
		}
		body, next := bodyOf(head, rest, method)
		all.WriteString(normalisedHead(head, body) + normalisedBody(head, body) + "\r\n")
		answer = next
	}
	return all.String() + answer
}

// field is the value of a header field of a response, or "".
func field(head, name string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}

// bodyOf cuts the body of a response, unchunked, from what follows. Chunks may be cut anywhere.
func bodyOf(head, rest, method string) (body, next string) {
	status := strings.Split(head, " ")[1]
	if method == "HEAD" || status == "204" || status == "304" {
		return "", rest
	}
	if field(head, "Transfer-Encoding") == "chunked" {
		return unchunked(rest)
	}
	if length, err := strconv.Atoi(field(head, "Content-Length")); err == nil {
		length = min(length, len(rest))
		return rest[:length], rest[length:]
	}
	return rest, ""
}

func unchunked(rest string) (body, next string) {
	for {
		size, after, ok := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseUint(size, 16, 31)
		if !ok || err != nil || uint64(len(after)) < n+2 {
			return body + "(cut)", rest
		}
		if n == 0 {
			return body, after[2:]
		}
		body, rest = body+after[:n], after[n+2:]
	}
}

// normalisedHead sorts the fields of a head: the order of different names means nothing.
func normalisedHead(head, body string) string {
	head = later.ReplaceAllString(head+"\r\n", "Expires: LATER\r")
	head = ownBoundary.ReplaceAllString(head, "${1}BOUNDARY")
	lines := strings.Split(strings.TrimSuffix(head, "\r\n"), "\r\n")
	fields := slices.DeleteFunc(lines[1:], func(line string) bool {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Server", "Date":
			return true
		case "Content-Length": // of a page with a name, or of compressed bytes
			return ownPage.MatchString(body) || field(head, "Content-Encoding") == "gzip" || body == "" && strings.Contains(head, "text/html")
		}
		return false
	})
	slices.SortStableFunc(fields, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	if strings.HasPrefix(lines[0][8:], " 416") {
		fields = slices.Compact(fields) // nginx adds what add_header … always adds twice
	}
	return strings.Join(append([]string{lines[0]}, fields...), "\r\n") + "\r\n\r\n"
}

func normalisedBody(head, body string) string {
	if field(head, "Content-Encoding") == "gzip" && body != "" {
		reader, err := gzip.NewReader(strings.NewReader(body))
		if err == nil {
			var plain bytes.Buffer
			if _, err = io.Copy(&plain, reader); err == nil {
				body = "(gzip)" + plain.String()
			}
		}
		if err != nil {
			body += "(" + err.Error() + ")"
		}
	}
	body = ownBoundary.ReplaceAllString(body, "${1}BOUNDARY")
	return ownPage.ReplaceAllString(body, "NAME")
}

// normalisedLog sorts the lines of an access log: requests of different connections end in any order.
func normalisedLog(text string) string {
	text = ownBoundary.ReplaceAllString(ownAddress.ReplaceAllString(text, "127.0.1.0"), "${1}BOUNDARY")
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

var (
	problemLine = regexp.MustCompile(`(?m)^\S+ \S+ \[emerg\] \S+ (.*)$`)
	problemAt   = regexp.MustCompile(` in \S+:\d+(:.*)?$`)
)

// normalisedProblems are what a server says about a configuration, without where.
func normalisedProblems(text, dir string) (all []string) {
	for _, found := range problemLine.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(problemAt.ReplaceAllString(found[1], ""), dir, "DIR"))
	}
	return all
}

// sameVerdict compares what we say about a configuration with what nginx says, which is its first problem only.
func sameVerdict(ours, theirs []string) bool {
	if len(theirs) == 0 {
		return len(ours) == 0
	}
	return slices.Contains(ours, theirs[0])
}
