package proxy

import (
	"net"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/modules/stream/core"
	"starling/stream"
	"starling/stream/streamtest"
)

// breaking is a connection to a server whose next datagram makes the process panic.
type breaking struct{ net.Conn }

func (breaking) Write([]byte) (int, error) { panic("a mistake of ours") }

// statuses sends those of the sessions that end.
func statuses(to chan<- int) *stream.Module {
	type none struct{}
	return &stream.Module{
		Module: conf.Module{Name: "statuses", New: conf.NewOf[none], Clone: conf.CloneOf[none]},
		Handlers: []stream.Hook{{Phase: stream.Log, Build: func(*stream.Block) (stream.Handler, error) {
			return func(s *stream.Session) stream.Result {
				to <- s.Status
				return stream.Declined
			}, nil
		}}},
	}
}

// TestAPanicOfAPumpEndsItsSessionOnly: the goroutine of the session is gone by then.
func TestAPanicOfAPumpEndsItsSessionOnly(t *testing.T) {
	backend, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	parked, ended := make(chan bool, 10), make(chan int, 10)
	broken := Module
	broken.Handlers = []stream.Hook{{Phase: stream.Content, Build: func(b *stream.Block) (stream.Handler, error) {
		handle, err := build(b)
		return func(s *stream.Session) stream.Result {
			result := handle(s)
			conn := s.Content.(*relayed).conn
			conn.Conn = breaking{conn.Conn}
			s.HasDatagram() // its lock shows the pump what was written here
			parked <- true
			return result
		}, err
	}}}
	s := streamtest.Start(t, "stream { server { listen 1 udp; proxy_pass "+backend.LocalAddr().String()+"; } }", nil, &core.Module, &broken, statuses(ended))
	client := s.Dial(0)
	for range 2 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-parked:
		case status := <-ended:
			if status != stream.StatusInternalError {
				t.Errorf("status %d", status)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing happens")
		}
	}
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, "[alert] *1 panic while serving a session: a mistake of ours") {
		t.Error(lines)
	}
	s.Site.Retire()
	<-s.Site.Drained()
}
