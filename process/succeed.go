package process

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"starling/logs"
)

const (
	// linkTimeout bounds how long the new process waits to be connected with the old one. It is shorter than the time
	// after which a node without peers is ready with the records it has, none.
	linkTimeout = 4 * time.Second
	// lookEvery is how often it looks whether it is ready.
	lookEvery = 5 * time.Millisecond
	// orphanTimeout bounds how long it waits for another parent. A process closes its connections before its children
	// get one.
	orphanTimeout = time.Second
)

// succeed makes this process the successor of the one that has started it: it loads its configuration on that one's
// sockets, learns all zones, and then accepts the clients. An error leaves the old process as it was, which logs it.
func (s *running) succeed(from *legacy, signals <-chan os.Signal) error {
	b := newSibling(s.host, from.conn)
	hello, _, err := b.receive()
	if err != nil {
		if hello = from.greeting; hello.PID == 0 {
			return fmt.Errorf("cannot hear the process that this one replaces: %w; if it has ended, start this one "+
				"again", err)
		}
		s.host.Log().Logf(logs.Notice, "upgrade: process %d has ended before it could greet this one: %v", hello.PID,
			err)
	}
	b.pid = hello.PID
	peer := b.peer(hello.Subject, hello.Selves)
	s.host.Succeed(peer)
	if err := s.host.Inherit(from.sockets, hello.Foreign); err != nil {
		return b.tell(err)
	}
	admit := s.host.Hold()
	if err := s.start(nil); err != nil {
		return b.tell(err)
	}
	c := s.host.Current()
	s.pidPath, s.user = c.PIDPath(), c.Settings.User
	if err := become(s.user, s.host, c.Log()); err != nil {
		return b.tell(err)
	}
	handover, err := s.host.Share(context.Background(), peer)
	if err != nil {
		return b.tell(err)
	}
	b.share(handover)
	go b.listen()
	b.say(message{Kind: kindStarted, Networks: handover.Networks()})
	s.sibling = b
	if err := s.awaitTurn(signals); err != nil {
		s.host.Log().Logf(logs.Notice, "upgrade: exiting: %v", err)
		s.host.Stop()
		return err
	}
	if err := s.firstTake(hello.Detached); err != nil {
		s.host.Stop()
		return b.tell(err)
	}
	admit()
	b.say(message{Kind: kindTaken})
	return nil
}

// say sends a message. That the other process does not get it is no reason to end: when it has ended, this one hears of
// it.
func (b *sibling) say(m message) {
	if err := b.send(m); err != nil {
		b.host.Log().Logf(logs.Info, "upgrade: cannot answer %s: %v", b.name(), err)
	}
}

// tell tells the old process why this one ends.
func (b *sibling) tell(err error) error {
	text := ""
	for i, problem := range flatten(err) {
		if i > 0 {
			text += "; "
		}
		text += problem.Error()
	}
	if failed := b.send(message{Kind: kindFailed, Text: text}); failed != nil {
		return fmt.Errorf("%w (and the process that this one replaces does not listen: %w)", err, failed)
	}
	return err
}

// awaitTurn waits until the old process hands the clients over.
func (s *running) awaitTurn(signals <-chan os.Signal) error {
	b := s.sibling
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	linked, ready := false, false
	tooLate := time.NewTimer(linkTimeout)
	defer tooLate.Stop()
	for {
		select {
		case m := <-b.events:
			switch m.Kind {
			case kindTake:
				return nil
			case kindGone:
				return s.outlive()
			}
		case sig := <-signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGQUIT {
				return b.tell(fmt.Errorf("it received %s", signalNames[sig]))
			}
			s.note(sig, ", ignored until this process serves")
		case <-tooLate.C:
			if !linked {
				return b.tell(fmt.Errorf("%w within %v", b.handover.Connected(), linkTimeout))
			}
		case <-looks.C:
			linked = linked || b.handover.Connected() == nil
			if !ready && linked && b.handover.Ready() == nil {
				ready = true
				b.say(message{Kind: kindReady})
			}
		}
	}
}

// outlive lets this process take over if the one that it replaces has died. It has what that one had sent until then,
// and what is in the state files. If the old process lives, it has given this one up.
func (s *running) outlive() error {
	b := s.sibling
	for deadline := time.Now().Add(orphanTimeout); os.Getppid() == b.pid; time.Sleep(lookEvery) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s, which this one replaces, has given it up", b.name())
		}
	}
	s.host.Log().Logf(logs.Warn, "upgrade: %s has ended without handing over its clients; this process takes over",
		b.name())
	b.readOut()
	b.waiting = append(b.waiting, message{Kind: kindMain}, message{Kind: kindGone}) // for when this process serves
	return nil
}

// firstTake takes over what only one process may have. Clients are accepted after it.
func (s *running) firstTake(detached bool) error {
	b := s.sibling
	if err := b.take(); err != nil {
		return err
	}
	b.handed = true
	if err := s.host.AsStarted(func() error { return writePID(s.pidPath) }); err != nil {
		s.host.Log().Logf(logs.Warn, "%v: there is no pid file, so \"-s\" does not find this process", err)
	}
	if s.detached = detached; detached {
		if err := detachStreams(s.host.Current().Log()); err != nil {
			return err
		}
	}
	s.host.Log().Logf(logs.Notice, "upgrade: this process replaces %s and accepts clients now", b.name())
	return nil
}

// becomeMain is called when the service manager knows that this process is the main one of the service.
func (s *running) becomeMain() {
	s.manager.tell(s.manager.Ready(s.status()))
	s.watched.Do(func() { go s.manager.watch(s.life, s.busy.Load, s.host.Stalled) })
}
