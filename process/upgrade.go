package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"starling/lib/passfd"
	"starling/logs"
)

// oldSuffix is what the pid file of a replaced process ends with, as in nginx.
const oldSuffix = ".oldbin"

const (
	// readyWithin is how long a new process may take until it can serve, unless "starling upgrade" says otherwise.
	readyWithin = time.Minute
	// shareTimeout bounds the preparations for it.
	shareTimeout = 10 * time.Second
	// endTimeout is how long another upgrade waits for the end of the one before.
	endTimeout = time.Second
)

// successor is a process that this one has started to replace itself.
type successor struct {
	command *exec.Cmd
	late    *time.Timer
}

// self finds the binary to start: at the path with which this one was started, as in nginx, so that a link that has
// moved leads to the new version.
type self struct {
	path string
	args []string
}

// thisProgram is called before the working directory can change.
func thisProgram() self {
	me := self{path: os.Args[0], args: os.Args[1:]}
	if strings.ContainsRune(me.path, '/') {
		if absolute, err := filepath.Abs(me.path); err == nil {
			me.path = absolute
		}
		return me
	}
	if found, err := exec.LookPath(me.path); err == nil {
		me.path = found
	}
	return me
}

// upgrade starts the new binary (USR2). Everything after that happens when the new process or its end is heard of.
func (s *running) upgrade() {
	r, asked := s.takeRequest()
	s.awaitEnd()
	if b := s.sibling; b != nil {
		err := fmt.Errorf("%s and this one have not finished replacing each other yet; end one of them first", b.name())
		s.host.Log().Logf(logs.Error, "upgrade failed: %v", err)
		s.answer(asked, result{Error: err.Error()})
		return
	}
	s.request, s.asked = r, asked
	if err := s.begin(r); err != nil {
		s.upgradeFailed(err)
	}
}

// begin starts the new binary.
func (s *running) begin(r request) (err error) {
	switch {
	case os.Getpid() == 1:
		return errors.New("this is the first process of a container, which ends with it: replace the container instead")
	case s.paused:
		return errors.New("this process accepts no clients since WINCH: send HUP first")
	}
	s.busy.Store(true)
	defer s.busy.Store(false)
	s.manager.tell(s.manager.Reloading("starting the new binary"))
	conn, end, err := passfd.Pair()
	if err != nil {
		return err
	}
	defer end.Close()
	b := newSibling(s.host, conn)
	b.serving = true
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	subject, selves := s.host.Identity()
	if err := s.startChild(b, end, r.wait()); err != nil {
		return err
	}
	s.sibling = b
	ctx, cancel := context.WithTimeout(context.Background(), shareTimeout)
	defer cancel()
	handover, err := s.host.Share(ctx, b.peer(subject, selves))
	if err != nil {
		return err
	}
	b.share(handover)
	hello := s.greeting()
	hello.Subject, hello.Selves = subject, selves
	go b.listen()
	return b.send(hello)
}

// greeting is the first message to the new process, as far as it is known before that is started.
func (s *running) greeting() message {
	return message{Kind: kindHello, PID: os.Getpid(), Foreign: s.foreign, Detached: s.detached}
}

// awaitEnd waits a little for the end of the process that this one has replaced, which may just be ending.
func (s *running) awaitEnd() {
	b := s.sibling
	if b == nil || b.child != nil || !b.serving {
		return
	}
	m, err := b.await(endTimeout, kindGone)
	s.catchUp()
	if err == nil {
		s.heard(m)
	}
}

// startChild starts the new binary with the listening sockets.
func (s *running) startChild(b *sibling, end *os.File, wait time.Duration) error {
	sockets, foreign, err := s.host.Sockets()
	if err != nil {
		return err
	}
	s.foreign = foreign
	defer func() {
		for _, f := range sockets {
			f.Close() // a copy
		}
	}()
	command := exec.Command(s.self.path, s.self.args...)
	command.Args[0] = os.Args[0]
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.ExtraFiles = append([]*os.File{end}, sockets...)
	greeting, err := json.Marshal(s.greeting())
	if err != nil {
		return err
	}
	command.Env = append(os.Environ(), fmt.Sprintf("%s=3:%d", siblingVariable, len(sockets)),
		fmt.Sprintf("%s=%s", greetingVariable, greeting))
	command.Env = append(command.Env, s.manager.Environment()...)
	asRoot := s.host.KeepsRights()
	if err := s.host.AsStarted(func() error { return startAsStarted(command, asRoot) }); err != nil {
		return fmt.Errorf("cannot start %s: %w", s.self.path, err)
	}
	b.pid = command.Process.Pid
	b.child = &successor{command: command}
	s.host.Log().Logf(logs.Notice, "upgrade: started %s as process %d", s.self.path, b.pid)
	go func() {
		err := command.Wait()
		text := "exited with status 0"
		if err != nil {
			text = strings.Replace(err.Error(), "exit status", "exited with status", 1)
		}
		b.exited(text)
	}()
	b.child.late = time.AfterFunc(wait, func() { b.events <- message{Kind: kindLate, Text: wait.String()} })
	return nil
}

// close ends the new process by force and forgets it.
func (b *sibling) close() {
	if b.child != nil {
		if b.child.late != nil {
			b.child.late.Stop()
		}
		b.kill()
	}
	b.conn.Close() // the other process ends by itself when it hears that, if it does not serve
	b.end()
	if b.handover != nil {
		b.handover.Close()
		b.share(nil)
	}
}

// kill ends the child. It may be another user's.
func (b *sibling) kill() {
	err := b.host.AsStarted(func() error { return b.child.command.Process.Kill() })
	if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		b.host.Log().Logf(logs.Alert, "upgrade: cannot end %s: %v", b.name(), err)
	}
}

// awaitGone waits for the end of a process that was killed, and reads what it had sent: it may have served.
func (b *sibling) awaitGone() {
	select {
	case <-b.alive.Done():
		b.readOut()
	case <-time.After(readOutTimeout):
		b.host.Log().Logf(logs.Alert, "upgrade: %s was killed and has not ended within %v", b.name(), readOutTimeout)
	}
}

// upgradeFailed tells why nothing has changed.
func (s *running) upgradeFailed(err error) {
	s.host.Log().Logf(logs.Error, "upgrade failed: %v; this process goes on serving", err)
	s.answer(s.asked, result{Error: err.Error()})
	s.manager.tell(s.manager.Ready("the upgrade failed, still serving with the old binary: " + err.Error()))
}

// abandon gives up a child that does not serve.
func (s *running) abandon(err error) {
	b := s.sibling
	s.sibling = nil
	b.close()
	s.upgradeFailed(err)
}

// heard obeys what the other process says, or does.
func (s *running) heard(m message) {
	b := s.sibling
	if b == nil {
		return // its last words
	}
	switch m.Kind {
	case kindStarted:
		b.started = true
		b.handover.Connect(m.Networks)
	case kindReady:
		s.handOver()
	case kindGive:
		s.host.Log().Logf(logs.Notice, "upgrade: %s asks for the clients", b.name())
		s.handOver()
	case kindTake:
		s.takeBack()
	case kindMain:
		s.becomeMain()
	case kindLate:
		if !b.handed {
			s.abandon(fmt.Errorf("%s was not ready within %s: %s", b.name(), m.Text, b.missing()))
		}
	case kindFailed:
		if !b.handed {
			s.abandon(fmt.Errorf("%s: %s", b.name(), m.Text))
			return
		}
		s.host.Log().Logf(logs.Error, "upgrade: %s failed: %s", b.name(), m.Text)
	case kindBye:
		b.leaves = true
	case kindGone, kindExited:
		s.alone(m)
	}
}

// missing is what the new process still waits for.
func (b *sibling) missing() string {
	if !b.started {
		return "it has not loaded its configuration"
	}
	if err := b.handover.Connected(); err != nil {
		return err.Error()
	}
	return "it has not learned all zones"
}

// handOver lets the other process accept the clients. If it cannot, this one goes on.
func (s *running) handOver() {
	b := s.sibling
	s.busy.Store(true)
	defer s.busy.Store(false)
	first := b.isStarting()
	var err error
	if first {
		err = s.retirePID()
	}
	if err == nil {
		err = b.give()
	}
	if err != nil {
		if first {
			b.kill()
			b.awaitGone()
		}
		if back := b.take(); back != nil {
			s.host.Log().Logf(logs.Alert, "upgrade: cannot go on as before: %v", back)
		}
		if first {
			s.restorePID()
			s.abandon(err)
		} else {
			s.host.Log().Logf(logs.Error, "upgrade: %s cannot take the clients: %v; this process goes on serving",
				b.name(), err)
		}
		return
	}
	s.host.Log().Logf(logs.Notice, "upgrade: %s accepts clients now; this process serves those that it has", b.name())
	if b.child != nil {
		b.child.late.Stop()
	}
	s.manager.tell(s.manager.Main(b.pid, "serving in another process"))
	if err := b.send(message{Kind: kindMain}); err != nil {
		s.host.Log().Logf(logs.Error, "upgrade: cannot answer %s: %v", b.name(), err)
	}
	if !first {
		return
	}
	s.answer(s.asked, result{PID: b.pid})
	if s.request.Finish {
		if err := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil {
			s.host.Log().Logf(logs.Alert, "kill(%d, SIGQUIT) failed: %v", os.Getpid(), err)
		}
	}
}

// takeBack accepts the clients that the other process hands over.
func (s *running) takeBack() {
	b := s.sibling
	answer := message{Kind: kindTaken}
	if err := b.take(); err != nil {
		answer = message{Kind: kindFailed, Text: err.Error()}
		s.host.Log().Logf(logs.Error, "upgrade: cannot take the clients of %s: %v", b.name(), err)
	} else {
		s.host.Log().Logf(logs.Notice, "upgrade: accepting the clients of %s", b.name())
	}
	if err := b.send(answer); err != nil {
		s.host.Log().Logf(logs.Error, "upgrade: cannot answer %s: %v", b.name(), err)
	}
}

// alone is called when the other process has ended.
func (s *running) alone(m message) {
	b := s.sibling
	if b.isStarting() {
		if m.Kind == kindExited { // it says more than kindGone
			s.abandon(fmt.Errorf("%s %s before it was ready; its error log or standard error says why", b.name(),
				m.Text))
		}
		return
	}
	b.readOut()
	switch {
	case !b.serving && !s.quitting:
		if err := b.take(); err != nil {
			s.host.Log().Logf(logs.Alert, "upgrade: cannot take the clients of %s, which has ended: %v", b.name(), err)
			break
		}
		s.host.Log().Logf(logs.Notice, "upgrade: %s has ended; this process accepts clients again", b.name())
	case b.leaves:
		s.host.Log().Logf(logs.Notice, "upgrade: %s has ended", b.name())
	default:
		s.host.Log().Logf(logs.Warn, "upgrade: %s has ended without a word", b.name())
	}
	s.sibling = nil
	if b.child != nil && b.serving {
		s.restorePID()
		s.manager.tell(s.manager.Ready(s.status()))
	}
	if b.child == nil { // the old process removes its pid file, unless it was killed
		err := s.host.AsStarted(func() error { return removePIDOf(s.basePID()+oldSuffix, b.pid) })
		if err != nil {
			s.host.Log().Logf(logs.Warn, "%v", err)
		}
	}
	b.conn.Close()
	b.handover.Close()
}

// errToldToEnd is why a new process that does not serve yet ends with the old one.
var errToldToEnd = errors.New("the process that it would replace was told to end")

// leave hands the clients over before this process ends, and takes leave: the other process goes on.
func (s *running) leave() {
	b := s.sibling
	switch {
	case b == nil:
	case b.isStarting():
		s.abandon(errToldToEnd)
	case b.serving && b.handed:
		s.handOver()
	}
}

// endSharing is called when the last request has ended: the other process gets the last changes.
func (s *running) endSharing() {
	b := s.sibling
	if b == nil {
		return
	}
	if b.isStarting() { // or it would take over, as if this process had died
		s.abandon(errToldToEnd)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := b.handover.Quit(ctx); err != nil {
		s.host.Log().Logf(logs.Warn, "upgrade: some changes were not sent to %s: %v", b.name(), err)
	}
	if err := b.send(message{Kind: kindBye}); err != nil {
		s.host.Log().Logf(logs.Info, "upgrade: cannot take leave of %s: %v", b.name(), err)
	}
}

// askBack asks the other process for the clients (HUP to the one that does not accept them).
func (s *running) askBack() {
	if err := s.sibling.send(message{Kind: kindGive}); err != nil {
		s.host.Log().Logf(logs.Error, "upgrade: cannot ask %s for the clients: %v", s.sibling.name(), err)
	}
}
