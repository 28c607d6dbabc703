package otel

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
)

// exporterSettings is one otel_exporter block.
type exporterSettings struct {
	endpoint string
	tls      *tls.Config // nil: cleartext
	headers  map[string]string
	interval time.Duration
	// batchSpans is batch_size, batches is batch_count.
	batchSpans, batches int

	trusted *x509.CertPool
}

// The defaults are those of nginx's module.
const (
	defaultInterval   = 5 * time.Second
	defaultBatchSpans = 512
	defaultBatches    = 4
)

func setExporter(_ *Settings, a *conf.Args) error {
	p := side.PlanOf(a)
	e := &exporterSettings{headers: map[string]string{}}
	var problems conf.Problems
	for _, n := range a.Node.Block {
		if err := e.read(p, n); err != nil {
			problems = append(problems, conf.At(n, "%s", err))
		}
	}
	switch {
	case len(problems) > 0:
		return problems
	case strings.HasPrefix(strings.ToLower(e.endpoint), "https://"):
		e.endpoint = e.endpoint[len("https://"):]
		e.tls = &tls.Config{RootCAs: e.trusted, MinVersion: tls.VersionTLS12}
	case strings.HasPrefix(strings.ToLower(e.endpoint), "http://"):
		e.endpoint = e.endpoint[len("http://"):]
	}
	if e.endpoint == "" {
		return errors.New("\"otel_exporter\" requires \"endpoint\"")
	}
	if e.interval == 0 {
		e.interval = defaultInterval
	}
	if e.batchSpans == 0 {
		e.batchSpans = defaultBatchSpans
	}
	if e.batches == 0 {
		e.batches = defaultBatches
	}
	of(p).exporter = e
	return nil
}

var (
	errDuplicate = errors.New("is duplicate")
	errValue     = errors.New("has an invalid value")
)

// read reads one line of the block.
func (e *exporterSettings) read(p *plan.Plan, n *conf.Node) error {
	arguments := 1
	var set func() error
	switch n.Name {
	case "endpoint":
		set = func() error { return once(&e.endpoint, n.Words[0], nil) }
	case "trusted_certificate":
		set = func() error { return e.readTrusted(p, n.Words[0]) }
	case "header":
		arguments, set = 2, func() error { return e.readHeader(n.Words[0], n.Words[1]) }
	case "interval":
		set = func() error {
			d, err := units.Time(n.Words[0])
			return once(&e.interval, d, invalid(err, d >= time.Millisecond))
		}
	case "batch_size":
		set = func() error { return readCount(&e.batchSpans, n.Words[0]) }
	case "batch_count":
		set = func() error { return readCount(&e.batches, n.Words[0]) }
	default:
		return fmt.Errorf("unknown directive \"%s\" in \"otel_exporter\"", n.Name)
	}
	if len(n.Words) != arguments || n.Block != nil {
		return fmt.Errorf("invalid number of arguments in \"%s\" directive of \"otel_exporter\"", n.Name)
	}
	if err := set(); err != nil {
		return fmt.Errorf("\"%s\" directive of \"otel_exporter\" %w", n.Name, err)
	}
	return nil
}

// once stores a value that must be given only once.
func once[T comparable](to *T, value T, err error) error {
	var unset T
	if err != nil {
		return err
	}
	if *to != unset {
		return errDuplicate
	}
	*to = value
	return nil
}

func invalid(err error, inRange bool) error {
	if err != nil || !inRange {
		return errValue
	}
	return nil
}

// maxCount bounds batch_size and batch_count: more spans would not fit into a message of gRPC, which is 4 MB at most
// collectors.
const maxCount = 1 << 16

func readCount(to *int, word string) error {
	n, err := units.Size(word)
	return once(to, int(n), invalid(err, n >= 1 && n <= maxCount))
}

func (e *exporterSettings) readTrusted(p *plan.Plan, word string) error {
	if e.trusted != nil {
		return errDuplicate
	}
	path := p.ConfPath(word)
	text, err := p.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	e.trusted = x509.NewCertPool()
	if !e.trusted.AppendCertsFromPEM(text) {
		return fmt.Errorf("has no certificate in \"%s\"", path)
	}
	return nil
}

// readHeader checks a header by the rules of gRPC.
func (e *exporterSettings) readHeader(name, value string) error {
	name = strings.ToLower(name)
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !legal(c) }) ||
		strings.HasPrefix(name, "grpc-") {
		return errors.New("has invalid header name")
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		return errors.New("has invalid header value")
	}
	e.headers[name] = value
	return nil
}
