package resolver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxUDPBytes is more than a server sends to a client that has not requested more than 512 bytes. A longer message is
// cut and therefore no answer.
const maxUDPBytes = 4 << 10

// query asks one server over UDP, and over TCP if the answer did not fit. An error needs no more room: a server that
// marks one as truncated need not serve TCP.
func (r *Resolver) query(ctx context.Context, server, question string, kind uint16) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(question, kind)
	reply, err := talk(ctx, "udp", server, query)
	if err == nil && reply.Truncated && reply.Rcode == dns.RcodeSuccess {
		reply, err = talk(ctx, "tcp", server, query)
	}
	return reply, err
}

// talk sends a query and waits for its answer until perTry has passed.
func talk(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() // fails only on closed connections
	question, err := query.Pack()
	if err != nil {
		return nil, err
	}
	framed := network == "tcp"
	if framed {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	return listen(conn, framed, query)
}

// listen drops messages that do not answer the query, as nginx does: any host can send them, and they must not end the
// wait for the answer. A truncated datagram may be cut anywhere after the question: it only leads to TCP. framed means
// TCP.
func listen(conn net.Conn, framed bool, query *dns.Msg) (*dns.Msg, error) {
	receive := receiveDatagram
	if framed {
		receive = receiveFramed
	}
	var buf []byte
	for dropped, why := 0, ""; ; dropped++ {
		var err error
		if buf, err = receive(conn, buf); err != nil {
			if dropped > 0 {
				err = fmt.Errorf("%w; dropped %d messages, last reason: %s", err, dropped, why)
			}
			return nil, err
		}
		reply := new(dns.Msg)
		unpackErr := reply.Unpack(buf)
		if why = mismatch(query, reply); why != "" {
			continue
		}
		if unpackErr == nil || reply.Truncated && !framed {
			return reply, nil
		}
		why = "malformed message: " + unpackErr.Error()
	}
}

func receiveDatagram(conn net.Conn, buf []byte) ([]byte, error) {
	if buf == nil {
		buf = make([]byte, maxUDPBytes)
	}
	n, err := conn.Read(buf[:cap(buf)])
	return buf[:n], err
}

// receiveFramed reads a message after its length (RFC 1035, 4.2.2).
func receiveFramed(conn net.Conn, buf []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	if n := int(binary.BigEndian.Uint16(length[:])); n > cap(buf) {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	_, err := io.ReadFull(conn, buf)
	return buf, err
}

// mismatch returns why a message is not the answer to a query; "" if it is.
func mismatch(query, reply *dns.Msg) string {
	asked := query.Question[0]
	switch {
	case reply.Id != query.Id:
		return "unexpected message ID"
	case !reply.Response:
		return "not a response"
	case reply.Opcode != dns.OpcodeQuery:
		return "unexpected opcode"
	case refuses(reply):
		return ""
	case len(reply.Question) != 1:
		return fmt.Sprintf("expected 1 question, got %d", len(reply.Question))
	case !strings.EqualFold(reply.Question[0].Name, asked.Name) || reply.Question[0].Qtype != asked.Qtype ||
		reply.Question[0].Qclass != asked.Qclass:
		return "answer to a different question"
	}
	return ""
}

// refuses recognizes a refusal that does not repeat the question, as public servers send it: the next server is asked
// immediately. A "no such name" in this form is not believed.
func refuses(reply *dns.Msg) bool {
	return len(reply.Question)+len(reply.Answer)+len(reply.Ns)+len(reply.Extra) == 0 &&
		reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError
}
