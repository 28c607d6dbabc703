package h1

import "fmt"

// Statuses that nginx uses internally and never sends; error_page can name them.
const (
	StatusHeaderTooLarge = 494 // sent as 400
)

// Problem is a message that violates the rules: its sender, the status of the response and the log text. Failed reads
// (timeouts, resets, an end of file) are not Problems; the connection's error is returned as is.
type Problem struct {
	// Status is what error_page sees; 502 for an upstream's fault.
	Status int
	// Text is the error log's line with nginx's text, without the connection's details.
	Text string
}

// ErrNoHost is the problem of a request that must name a host and does not.
var ErrNoHost = clientProblem(400, "HTTP/1.1 request without \"Host\" header")

func (p *Problem) Error() string { return p.Text }

func clientProblem(status int, format string, args ...any) error {
	return &Problem{Status: status, Text: "client sent " + fmt.Sprintf(format, args...)}
}

func upstreamProblem(format string, args ...any) error {
	return &Problem{Status: 502, Text: "upstream sent " + fmt.Sprintf(format, args...)}
}

// maxQuotedBytes bounds untrusted text in one line of the error log.
const maxQuotedBytes = 512

// quoted escapes untrusted bytes for a log line.
func quoted(b []byte) string {
	const hex = "0123456789abcdef"
	cut := len(b) > maxQuotedBytes
	if cut {
		b = b[:maxQuotedBytes]
	}
	out := make([]byte, 0, len(b)+8)
	for _, c := range b {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
			continue
		}
		out = append(out, c)
	}
	if cut {
		out = append(out, "..."...)
	}
	return string(out)
}
