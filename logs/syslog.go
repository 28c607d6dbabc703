package logs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"starling/nginx/sockaddr"
)

// SyslogScheme starts the path of a log that goes to a syslog server: "syslog:server=127.0.0.1,tag=x".
const SyslogScheme = "syslog:"

// syslogPort is the default port of syslog servers.
const syslogPort = 514

// syslogFacilities by their numbers in RFC 3164; its severities are those of Level.
var syslogFacilities = []string{
	"kern",
	"user",
	"mail",
	"daemon",
	"auth",
	"intern",
	"lpr",
	"news",
	"uucp",
	"clock",
	"authpriv",
	"ftp",
	"ntp",
	"audit",
	"alert",
	"cron",
	"local0",
	"local1",
	"local2",
	"local3",
	"local4",
	"local5",
	"local6",
	"local7",
}

// defaultSyslogTag is nginx's, so that rules that sort lines by tag need no change.
const defaultSyslogTag = "nginx"

// maxSyslogTag is the longest tag that RFC 3164 allows.
const maxSyslogTag = 32

// syslog is the parsed form of a path with SyslogScheme.
type syslog struct {
	server     sockaddr.Addr
	facility   int
	severity   Level // of access logs; lines of error logs have their own
	tag        string
	noHostname bool
}

// CheckSyslog returns the error in a path that begins with SyslogScheme, with nginx's text.
func CheckSyslog(path string) error {
	_, err := parseSyslog(path)
	return err
}

func parseSyslog(path string) (syslog, error) {
	s := syslog{facility: len(syslogFacilities) - 1, severity: Info, tag: defaultSyslogTag}
	given := map[string]bool{}
	for _, word := range strings.Split(strings.TrimPrefix(path, SyslogScheme), ",") {
		name, value, hasValue := strings.Cut(word, "=")
		if given[name] {
			return s, fmt.Errorf("duplicate syslog \"%s\"", name)
		}
		given[name] = true
		if !hasValue && name == "nohostname" {
			s.noHostname = true
			continue
		}
		if err := s.set(name, value, word); err != nil {
			return s, err
		}
	}
	if !given["server"] {
		return s, errors.New("no syslog server specified")
	}
	return s, nil
}

func (s *syslog) set(name, value, word string) error {
	switch name {
	case "server":
		addrs, err := sockaddr.Parse(value, syslogPort)
		if err != nil {
			return fmt.Errorf("%w in syslog server \"%s\"", err, value)
		}
		s.server = addrs[0]
	case "facility":
		if s.facility = slices.Index(syslogFacilities, value); s.facility < 0 {
			return fmt.Errorf("unknown syslog facility \"%s\"", value)
		}
	case "severity":
		var known bool
		if s.severity, known = ParseLevel(value); !known {
			return fmt.Errorf("unknown syslog severity \"%s\"", value)
		}
	case "tag":
		if len(value) > maxSyslogTag {
			return fmt.Errorf("syslog tag length exceeds %d", maxSyslogTag)
		}
		if strings.IndexFunc(value, notOfTag) >= 0 {
			return errors.New("syslog \"tag\" only allows alphanumeric characters and underscore")
		}
		s.tag = value
	default:
		return fmt.Errorf("unknown syslog parameter \"%s\"", word)
	}
	return nil
}

func notOfTag(c rune) bool {
	return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_'
}

// syslogSocket sends lines as messages. It never waits: a message that the system cannot take at once is lost, as in
// nginx.
type syslogSocket struct {
	syslog
	hostname string

	mu      sync.Mutex
	conn    syscall.RawConn // nil until the first message, and after a failure
	closer  net.Conn
	message []byte
	// second and stamp are the time of the last message as RFC 3164 writes it.
	second int64
	stamp  string
}

func openSyslog(path string) (*syslogSocket, error) {
	s, err := parseSyslog(path)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("gethostname() failed: %w", err)
	}
	return &syslogSocket{syslog: s, hostname: strings.ToLower(hostname)}, nil
}

// send sends one line, without its line feed.
func (s *syslogSocket) send(severity Level, line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	now := time.Now()
	if now.Unix() != s.second {
		s.second, s.stamp = now.Unix(), now.Format(time.Stamp)
	}
	m := append(s.message[:0], '<')
	m = append(strconv.AppendInt(m, int64(8*s.facility+int(severity)), 10), '>')
	m = append(append(m, s.stamp...), ' ')
	if !s.noHostname {
		m = append(append(m, s.hostname...), ' ')
	}
	m = append(append(m, s.tag...), ": "...)
	m = append(m, line...)
	s.message = m
	var sendErr error
	if err := s.conn.Write(func(fd uintptr) bool {
		sendErr = unix.Send(int(fd), m, unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		sendErr = err
	}
	if sendErr != nil && !errors.Is(sendErr, syscall.EAGAIN) {
		s.hangUp() // the server may come back at the same address
	}
	return sendErr
}

// dial must be called with the lock held.
func (s *syslogSocket) dial() error {
	network, address := "udp", s.server.AddrPort.String()
	if s.server.IsUnix() {
		network, address = "unixgram", s.server.Path
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.closer, s.conn = conn, raw
	return nil
}

// hangUp must be called with the lock held.
func (s *syslogSocket) hangUp() {
	if s.closer != nil {
		s.closer.Close() // nothing was waiting to be sent
	}
	s.closer, s.conn = nil, nil
}

func (s *syslogSocket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp()
}
