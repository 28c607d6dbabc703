// Package remote has the commands that ask a running node through its API, and change it.
package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// defaultAPI is where the examples and the demo have the API.
	defaultAPI = "http://127.0.0.1:8080/api"
	// apiVariable is the environment variable that replaces defaultAPI.
	apiVariable = "STARLING_API"
	// apiVersion is the version of the API that the commands speak.
	apiVersion = "9"
	// patience is how long a node may take to begin its answer; all answers come from memory.
	patience = 10 * time.Second
	// maxAnswerBytes bounds an answer that is read whole. The largest, the upstreams, have about 1 KB for a server.
	maxAnswerBytes = 64 << 20
	// maxFailureBytes bounds the text of an error.
	maxFailureBytes = 64 << 10
)

// access are the options that say which API to ask.
type access struct{ api, ca string }

// flags adds the options to a command, and to those below it.
func (a *access) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&a.api, "api", "", "`URL` of the node's API (default: $"+apiVariable+", or "+
		defaultAPI+"); unix:SOCKET for a unix socket")
	c.PersistentFlags().StringVar(&a.ca, "ca", "", "`file` with the CAs that verify an API with https (default: "+
		"those of the system)")
}

// client makes the client of the API.
func (a *access) client() (*client, error) {
	text := cmp.Or(a.api, os.Getenv(apiVariable), defaultAPI)
	u, socket, err := parseAPI(text)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		ResponseHeaderTimeout: patience, Proxy: http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: patience}).DialContext,
	}
	if socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: patience}).DialContext(ctx, "unix", socket)
		}
	}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", a.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	name := cmp.Or(socket, u.Redacted())
	return &client{base: u, name: name, http: &http.Client{Transport: transport}}, nil
}

// waitsFor lets a node take so much longer to begin its answers.
func (c *client) waitsFor(d time.Duration) {
	c.http.Transport.(*http.Transport).ResponseHeaderTimeout = patience + d
}

// parseAPI completes the URL of an API: "host:8080" is enough. A unix socket is its path, and the host is not used.
func parseAPI(text string) (u *url.URL, socket string, err error) {
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		socket, path, _ = strings.Cut(path, ":")
		if socket == "" {
			return nil, "", fmt.Errorf("invalid API \"%s\": write unix:SOCKET, or unix:SOCKET:/PATH", text)
		}
		text = "http://localhost" + path
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err = url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return nil, "", fmt.Errorf("invalid API \"%s\": write it as %s", text, defaultAPI)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/api"
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, socket, nil
}

// client asks one API.
type client struct {
	base *url.URL
	name string // for messages, without a password
	http *http.Client
}

// apiError is an answer that is not a success.
type apiError struct {
	status int
	code   string // "" if the answer was not the API's JSON
	text   string // complete, for the user
}

func (e *apiError) Error() string { return e.text }

// hasCode reports whether an error is an answer of the API with that code.
func hasCode(err error, code string) bool {
	var answer *apiError
	return errors.As(err, &answer) && answer.code == code
}

// get decodes the answer to a GET.
func (c *client) get(ctx context.Context, to any, path ...string) error {
	body, err := c.open(ctx, http.MethodGet, nil, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswerBytes)).Decode(to); err != nil {
		return fmt.Errorf("the answer of %s to GET %s cannot be read: %w", c.name, strings.Join(path, "/"), err)
	}
	return nil
}

// change sends a request with a body; nil sends none.
func (c *client) change(ctx context.Context, method string, body any, path ...string) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	answer, err := c.open(ctx, method, text, path)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(answer, maxAnswerBytes)) // all, so that the connection can be used again
	if err := errors.Join(err, answer.Close()); err != nil {
		return err
	}
	var come struct{ Nodes, Needed int } // of an answer that did not wait for all nodes that --ack needs
	if json.Unmarshal(got, &come) == nil && come.Needed > 0 {
		return fmt.Errorf("the change is made, but %d of %d nodes had it in time; it reaches the others when they are "+
			"connected", come.Nodes, come.Needed)
	}
	return nil
}

// open sends a request to a path below the version, and returns the body of a success. A last element of the path that
// begins with "?" is the query.
func (c *client) open(ctx context.Context, method string, body []byte, path []string) (io.ReadCloser, error) {
	u := *c.base
	if last := len(path) - 1; last >= 0 && strings.HasPrefix(path[last], "?") {
		u.RawQuery, path = path[last][1:], path[:last]
	}
	target := u.JoinPath(escaped(path)...).String()
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if response.StatusCode/100 == 2 {
		return response.Body, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFailureBytes))
	if err != nil {
		return nil, c.unreachable(err)
	}
	return nil, c.refused(response.StatusCode, text)
}

func escaped(path []string) []string {
	out := []string{apiVersion}
	for _, name := range path {
		out = append(out, url.PathEscape(name))
	}
	return out
}

// unreachable says what to do if there was no answer.
func (c *client) unreachable(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) { // it repeats the method and the URL
		err = failed.Err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cannot reach the API at %s: %w; start the node, or name its API with --api or $%s",
		c.name, err, apiVariable)
}

// refused explains an answer that is not a success.
func (c *client) refused(status int, body []byte) error {
	var failure struct {
		Error struct{ Text, Code string }
	}
	if json.Unmarshal(body, &failure) != nil {
		failure.Error.Code = ""
	}
	e := &apiError{status: status, code: failure.Error.Code}
	reason := fmt.Sprintf("%d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusUnauthorized:
		e.text = c.name + " requires a user: put it into the URL, as in http://USER:PASSWORD@HOST/api"
	case e.code == "MethodDisabled":
		e.text = c.name + " is read-only: set \"api write=on;\" in its location"
	case e.code != "":
		e.text = fmt.Sprintf("%s: %s (%s)", c.name, failure.Error.Text, reason)
	case status == http.StatusForbidden:
		e.text = c.name + " denies access: allow this host in its location, or run starling on the node"
	case status/100 == 5:
		e.text = fmt.Sprintf("%s failed (%s): see the error log of the node", c.name, reason)
	default:
		e.text = fmt.Sprintf("%s is not the API of a node (%s): name the location that has \"api;\" with --api or "+
			"$%s", c.name, reason, apiVariable)
	}
	return e
}
