package forward

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/conf"
	"starling/upstream/connect"
	"starling/vars"
	"starling/web"
	"starling/web/cache"
)

// Settings of one block that the families share. Embed them in those of the family's module.
type Settings struct {
	// Target is that of PREFIX_pass, nil without one.
	Target *Target
	// PassHeaders forwards the client's headers, which the protocol does.
	PassHeaders bool
	// Body replaces the client's body. Families with a directive for it set it.
	Body *vars.Template[*web.Request]

	passBody          bool
	requestBuffering  bool
	ignoreClientAbort bool

	buffering     bool
	bufferBytes   int
	buffers       int
	eachBytes     int
	busyBytes     int // 0: not set
	tempFileBytes int // only checked
	hide, pass    []string
	ignore        ignored
	intercept     bool
	passTrailers  bool
	forceRanges   bool
	limitRate     *vars.Template[*web.Request] // nil: no limit

	next        Condition
	nextTries   int
	nextTimeout time.Duration

	caching                  caching
	storing                  storing
	sendTimeout, readTimeout time.Duration
	connections              connect.Settings[*web.Request]
}

// NewSettings returns the values for families without directives for them.
func NewSettings() Settings {
	return Settings{buffers: 8, eachBytes: 4 << 10, caching: newCaching(),
		storing:     storing{access: defaultAccess},
		connections: connect.NewSettings[*web.Request]()}
}

// Stream makes the settings of a family that Streams.
func (s *Settings) Stream() { s.PassHeaders, s.passBody, s.passTrailers = true, true, true }

// Enter clears what a nested location does not inherit; if and limit_except keep it. It implements conf.Module.Enter.
func (s *Settings) Enter(in conf.Context) {
	if in == conf.Location {
		s.Target = nil
	}
}

func firstWord(a *conf.Args) (string, error) { return a.Words[0], nil }

// maxBufferBytes bounds the configured memory for one response.
const maxBufferBytes = 64 << 20

func bufferBytes(text string) (int, error) {
	n, err := conf.Size(text)
	if err == nil && (n == 0 || n > maxBufferBytes) {
		return 0, conf.InvalidValue
	}
	return int(n), err
}

func (s *Settings) setBuffers(a *conf.Args) (err error) {
	if s.buffers, err = conf.Int(1, 1<<16)(a.Words[0]); err != nil {
		return conf.InvalidValue
	}
	if s.buffers < 2 {
		return fmt.Errorf("there must be at least 2 \"%s\"", a.Node.Name)
	}
	s.eachBytes, err = bufferBytes(a.Words[1])
	return err
}

func tempFileBytes(text string) (int, error) {
	n, err := conf.Size(text)
	return int(n), err
}

// Check checks the relations between sizes, as nginx does when it merges a level's settings. It implements
// conf.Module.Check.
func (s *Settings) Check(f *Family, scope *conf.Scope) error {
	if scope.In&places == 0 || !f.Has.Buffers {
		return nil
	}
	most := max(s.bufferBytes, s.eachBytes)
	busy := s.busyBytes
	if busy == 0 {
		busy = 2 * most
	}
	largest := fmt.Sprintf("the maximum of the value of \"%[1]s_buffer_size\" and one of the \"%[1]s_buffers\"",
		f.Prefix)
	wrong := func(format string, args ...any) error {
		return conf.Problems{{What: fmt.Sprintf(format, args...), File: scope.Node.File, Line: scope.Node.EndLine}}
	}
	switch {
	case busy < most:
		return wrong("\"%s_busy_buffers_size\" must be equal to or greater than %s", f.Prefix, largest)
	case busy > (s.buffers-1)*s.eachBytes:
		return wrong("\"%[1]s_busy_buffers_size\" must be less than the size of all \"%[1]s_buffers\" minus one buffer",
			f.Prefix)
	case s.tempFileBytes != 0 && s.tempFileBytes < most:
		return wrong("\"%s_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be "+
			"equal to or greater than %s", f.Prefix, largest)
	}
	return nil
}

// ignored are the headers of PREFIX_ignore_headers that have an effect here.
type ignored struct {
	redirect, limitRate, buffering, charset bool
	caching                                 cache.Ignored
}

// ignorable are the arguments of PREFIX_ignore_headers.
var ignorable = []string{"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering",
	"X-Accel-Charset",
	"Expires", "Cache-Control", "Set-Cookie", "Vary"}

func addIgnored(_ *Family, i *ignored, word string) error {
	at := slices.IndexFunc(ignorable, func(name string) bool { return strings.EqualFold(name, word) })
	if at < 0 {
		return fmt.Errorf("invalid value \"%s\"", word)
	}
	i.redirect = i.redirect || at == 0
	i.limitRate = i.limitRate || at == 2
	i.buffering = i.buffering || at == 3
	i.charset = i.charset || at == 4
	i.caching.Add(word)
	return nil
}
