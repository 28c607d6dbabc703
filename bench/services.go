package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

// askLimit bounds a question to a service.
const askLimit = 2 * time.Second

// rawCodec passes messages as the bytes that they are. The messages of the services are few: see their .proto files.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (rawCodec) Name() string { return "proto" }

// callAsker asks over gRPC, on a connection of its own.
type callAsker struct {
	conn    *grpc.ClientConn
	method  string
	request func(key string) []byte
	verdict func(answer []byte) (bool, error)
}

func (c *callAsker) ask(key string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	request, answer := c.request(key), []byte(nil)
	if err := c.conn.Invoke(ctx, c.method, &request, &answer, grpc.ForceCodec(rawCodec{})); err != nil {
		return false, err
	}
	return c.verdict(answer)
}

func (c *callAsker) Close() error { return c.conn.Close() }

func dialCall(at string, kind callAsker) (asker, error) {
	conn, err := grpc.NewClient("passthrough:///"+at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	kind.conn = conn
	return &kind, nil
}

// Behaviors of Gubernator: the owner of a key decides each request, or each node on its own copy.
const (
	gubernatorBatching = 0
	gubernatorGlobal   = 2
	gubernatorReset    = 8 // RESET_REMAINING
)

// gubernatorLimit is what a request to Gubernator says of its limit.
type gubernatorLimit struct {
	behavior   uint64
	leaky      bool
	hits       uint64
	durationMS uint64
}

// asker asks for a decision.
func (l gubernatorLimit) asker() callAsker {
	return callAsker{
		method: "/pb.gubernator.V1/GetRateLimits",
		request: func(key string) []byte {
			algorithm := uint64(0)
			if l.leaky {
				algorithm = 1
			}
			// RateLimitReq: name, unique_key, hits, limit, duration, algorithm, behavior.
			var r []byte
			r = protowire.AppendString(protowire.AppendTag(r, 1, protowire.BytesType), "bench")
			r = protowire.AppendString(protowire.AppendTag(r, 2, protowire.BytesType), key)
			for i, v := range []uint64{l.hits, limitRate, l.durationMS, algorithm, l.behavior} {
				r = protowire.AppendVarint(protowire.AppendTag(r, protowire.Number(3+i), protowire.VarintType), v)
			}
			return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), r)
		},
		verdict: func(answer []byte) (bool, error) {
			responses, err := fields(answer)
			if err != nil {
				return false, err
			}
			if len(responses[1].bytes) == 0 {
				return false, errors.New("no response")
			}
			r, err := fields(responses[1].bytes)
			if err == nil && len(r[5].bytes) > 0 {
				err = errors.New(string(r[5].bytes))
			}
			return r[1].number == 0, err // UNDER_LIMIT
		},
	}
}

// field is the last value of a field of a message.
type field struct {
	number uint64
	bytes  []byte
}

// fields reads a message.
func fields(message []byte) (map[protowire.Number]field, error) {
	out := map[protowire.Number]field{}
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		message = message[n:]
		var f field
		switch kind {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(num, kind, message)
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		message, out[num] = message[n:], f
	}
	return out, nil
}

// gubernators starts a cluster whose members find each other as Gubernator does by default.
func (c *comparison) gubernators(behavior uint64, leaky bool) (*fleet, error) {
	ports, err := freePorts(3 * nodes)
	if err != nil {
		return nil, err
	}
	calls, webs, gossip := ports[:nodes], ports[nodes:2*nodes], ports[2*nodes:]
	for node := range gossip { // its list of members has one for each IP address
		gossip[node] = strings.Replace(gossip[node], "127.0.0.1", fmt.Sprint("127.0.0.", node+1), 1)
	}
	var cmds []*exec.Cmd
	for node := range nodes {
		cmd := exec.Command(c.gubernatorPath)
		cmd.Env = []string{
			"GUBER_GRPC_ADDRESS=" + calls[node], "GUBER_HTTP_ADDRESS=" + webs[node],
			"GUBER_ADVERTISE_ADDRESS=" + calls[node], fmt.Sprint("GUBER_INSTANCE_ID=n", node),
			fmt.Sprint("GUBER_MEMBERLIST_NODE_NAME=n", node), "GUBER_PEER_DISCOVERY_TYPE=member-list",
			"GUBER_MEMBERLIST_ADDRESS=" + gossip[node], "GUBER_MEMBERLIST_BIND_ADDRESS=" + gossip[node],
			"GUBER_MEMBERLIST_KNOWN_NODES=" + gossip[0],
			"GUBER_LOG_LEVEL=error", "OTEL_TRACES_SAMPLER=always_off",
		}
		cmds = append(cmds, cmd)
	}
	kind := gubernatorLimit{behavior: behavior, leaky: leaky, hits: 1, durationMS: 1000}.asker()
	fl := &fleet{ats: calls, dial: func(node int) (asker, error) { return dialCall(calls[node], kind) }}
	return gather(fl, func(node int) error {
		text, err := call("GET", "http://"+webs[node]+"/v1/HealthCheck", "", http.StatusOK)
		if err == nil && !strings.Contains(strings.ReplaceAll(text, " ", ""), fmt.Sprintf(`"peer_count":%d`, nodes)) &&
			!strings.Contains(text, fmt.Sprintf(`"peerCount":%d`, nodes)) {
			err = errors.New(text)
		}
		return err
	}, nil, cmds)
}

// calls asks a cluster of Gubernator about one limit, each time over a new connection.
func (f *fleet) calls(l gubernatorLimit) func(node int, key string) (bool, error) {
	return func(node int, key string) (bool, error) {
		a, err := dialCall(f.ats[node], l.asker())
		if err != nil {
			return false, err
		}
		defer a.Close()
		return a.ask(key)
	}
}

// ratelimitAsker asks Envoy's rate limit service, as Envoy would.
var ratelimitAsker = callAsker{
	method: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
	request: func(key string) []byte {
		nested := func(to []byte, num protowire.Number, value []byte) []byte {
			return protowire.AppendBytes(protowire.AppendTag(to, num, protowire.BytesType), value)
		}
		// RateLimitRequest: the domain, and a descriptor with one entry, a key and its value.
		entry := nested(nested(nil, 1, []byte("k")), 2, []byte(key))
		return nested(nested(nil, 1, []byte("bench")), 2, nested(nil, 1, entry))
	},
	verdict: func(answer []byte) (bool, error) {
		r, err := fields(answer)
		if err == nil && r[1].number == 0 {
			err = errors.New("no verdict")
		}
		return r[1].number == 1, err // OK
	},
}

// ratelimits starts three services with one Redis.
func (c *comparison) ratelimits() (*fleet, error) {
	ports, err := freePorts(3*nodes + 1)
	if err != nil {
		return nil, err
	}
	calls, redis := ports[:nodes], ports[3*nodes]
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "limits", "config"), 0o755); err != nil {
		return nil, err
	}
	rules := fmt.Sprintf(`domain: bench
descriptors:
  - key: k
    rate_limit: {unit: second, requests_per_unit: %d}
`, limitRate)
	if err := os.WriteFile(filepath.Join(dir, "limits", "config", "bench.yaml"), []byte(rules), 0o644); err != nil {
		return nil, err
	}
	port := func(at string) string { return at[strings.LastIndexByte(at, ':')+1:] }
	store := exec.Command(c.redisPath, "--port", port(redis), "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	var cmds []*exec.Cmd
	for node := range nodes {
		cmd := exec.Command(c.ratelimitPath)
		cmd.Env = []string{
			"GRPC_HOST=127.0.0.1", "GRPC_PORT=" + port(calls[node]),
			"HOST=127.0.0.1", "PORT=" + port(ports[nodes+node]),
			"DEBUG_HOST=127.0.0.1", "DEBUG_PORT=" + port(ports[2*nodes+node]),
			"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + redis, "USE_STATSD=false", "LOG_LEVEL=error",
			"RUNTIME_ROOT=" + dir, "RUNTIME_SUBDIRECTORY=limits", "RUNTIME_WATCH_ROOT=false",
		}
		cmds = append(cmds, cmd)
	}
	fl := &fleet{dial: func(node int) (asker, error) { return dialCall(calls[node], ratelimitAsker) }}
	return gather(fl, func(node int) error {
		a, err := fl.dial(node)
		if err != nil {
			return err
		}
		defer a.Close()
		_, err = a.ask("begin")
		return err
	}, []*exec.Cmd{store}, cmds)
}
