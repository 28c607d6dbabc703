package healthcheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"starling/conf"
	"starling/web/forward"
	"starling/web/h1"
)

// grpcTest is type=grpc: a call of Check of the gRPC health service.
type grpcTest struct {
	message []byte // the request, framed
	// alsoPasses is a status that passes besides OK with SERVING; OK: none.
	alsoPasses codes.Code
}

// readGRPC reads type=grpc; nil without it.
func readGRPC(a *conf.Args) (*grpcTest, error) {
	if !a.Has("type") {
		for _, name := range []string{"grpc_service", "grpc_status"} {
			if a.Has(name) {
				return nil, fmt.Errorf("\"%s\" requires \"type=grpc\"", name)
			}
		}
		return nil, nil
	}
	for _, name := range []string{"uri", "match"} {
		if a.Has(name) {
			return nil, fmt.Errorf("\"%s\" cannot be used with \"type=grpc\"", name)
		}
	}
	t := &grpcTest{}
	if a.Has("grpc_status") {
		n, err := conf.Int(1, 1<<31-1)(a.Value("grpc_status"))
		if err != nil {
			return nil, fmt.Errorf("invalid parameter \"grpc_status=%s\"", a.Value("grpc_status"))
		}
		t.alsoPasses = codes.Code(n)
	}
	text, err := proto.Marshal(&healthpb.HealthCheckRequest{Service: a.Value("grpc_service")})
	if err != nil {
		return nil, fmt.Errorf("invalid parameter \"grpc_service=%s\"", a.Value("grpc_service"))
	}
	t.message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
	return t, nil
}

// What a client of gRPC sends.
var (
	grpcPath    = []byte(healthpb.Health_Check_FullMethodName)
	grpcMethod  = []byte("POST")
	grpcHeaders = h1.Headers{
		{Name: []byte("content-type"), Value: []byte("application/grpc"), ID: h1.HeaderContentType},
		{Name: []byte("te"), Value: []byte("trailers"), ID: h1.HeaderTE},
	}
)

// fill makes a probe a call.
func (t *grpcTest) fill(q *forward.Probe) {
	q.URI, q.Method, q.Headers, q.Body, q.Judge = grpcPath, grpcMethod, grpcHeaders, t.message, t.judge
}

const stepGRPC = "checking gRPC status"

func (t *grpcTest) judge(a *forward.Reply) (step string, err error) {
	if a.Head.Status != 200 {
		return stepStatus, fmt.Errorf("status %d", a.Head.Status)
	}
	trailers, whole, err := a.Trailers()
	if err != nil {
		return "reading response body from upstream", err
	}
	if !whole {
		return stepGRPC, errors.New("the response is too long")
	}
	status, ok := find(trailers, "grpc-status")
	if !ok {
		status, ok = find(a.Head.Headers, "grpc-status") // of a response without a message
	}
	code, err := strconv.ParseUint(string(status), 10, 31)
	switch {
	case !ok:
		return stepGRPC, errors.New("the response has no \"grpc-status\"")
	case err != nil:
		return stepGRPC, fmt.Errorf("invalid \"grpc-status: %.64s\"", status)
	case code == uint64(codes.OK):
		return t.judgeMessage(a)
	case codes.Code(code) != t.alsoPasses:
		return stepGRPC, fmt.Errorf("gRPC status %d (%s)", code, codes.Code(code))
	}
	return stepGRPC, nil
}

func find(all h1.Headers, name string) (value []byte, ok bool) {
	i := all.Lookup(name, 0)
	if i < 0 {
		return nil, false
	}
	return all[i].Value, true
}

// frameHeadBytes are a flag and the length in front of a message.
const frameHeadBytes = 5

// judgeMessage judges the message of a call that has succeeded.
func (t *grpcTest) judgeMessage(a *forward.Reply) (step string, err error) {
	step = "checking serving status"
	body, err := a.Body()
	if err != nil {
		return step, err
	}
	if len(body) < frameHeadBytes || body[0] != 0 ||
		uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-frameHeadBytes) {
		return step, errors.New("the response is not one uncompressed message")
	}
	var m healthpb.HealthCheckResponse
	if err := proto.Unmarshal(body[frameHeadBytes:], &m); err != nil {
		return step, errors.New("the message is not a HealthCheckResponse")
	}
	if m.Status != healthpb.HealthCheckResponse_SERVING {
		return step, fmt.Errorf("serving status %s", m.Status)
	}
	return step, nil
}
