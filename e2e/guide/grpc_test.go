package guide

import (
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// grpcServer starts one with the health service, which also is what clients call: "name" is a service of it alone.
func grpcServer(cl *harness.Cluster, host int, name string) *health.Server {
	cl.T.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s.%d:50051", cl.Net, host))
	if err != nil {
		cl.T.Fatal(err)
	}
	state, s := health.NewServer(), grpc.NewServer()
	state.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, state)
	go s.Serve(l) // ends with Stop
	cl.T.Cleanup(s.Stop)
	return state
}

// callsOfHealthyServers: example grpc.
func callsOfHealthyServers(cl *harness.Cluster) {
	one, two := grpcServer(cl, 101, "one"), grpcServer(cl, 102, "two")
	one.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	two.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	startAll(cl)
	ctx, cancel := context.WithTimeout(cl.T.Context(), 3*harness.Patience)
	defer cancel()
	for _, n := range cl.Nodes {
		testkit.Eventually(cl.T, harness.Patience, func() error {
			r, err := n.Do("GET", "http://"+n.IP+":8081/api/9/http/upstreams/orders", "")
			if err == nil && (strings.Count(r.Body, `"state":"up"`) != 1 || strings.Count(r.Body, `"state":"unhealthy"`) != 1) {
				err = fmt.Errorf("%s: %s", n.Name, r.Body)
			}
			return err
		})
		conn, err := grpc.NewClient(n.IP+":50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			cl.T.Fatal(err)
		}
		defer conn.Close()
		client := healthpb.NewHealthClient(conn)
		for range 4 { // twice as many as there are servers
			if a, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "two"}); err != nil || a.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				cl.T.Errorf("%s: a call to the healthy server: %v, %v", n.Name, a, err)
			}
		}
		stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "two"})
		if err != nil {
			cl.T.Fatal(err)
		}
		if a, err := stream.Recv(); err != nil || a.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			cl.T.Errorf("%s: a stream of the healthy server: %v, %v", n.Name, a, err)
		}
	}
	two.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	for _, n := range cl.Nodes {
		conn, err := grpc.NewClient(n.IP+":50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			cl.T.Fatal(err)
		}
		defer conn.Close()
		testkit.Eventually(cl.T, harness.Patience, func() error {
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "two"})
			if got := status.Convert(err); got.Code() != codes.Unavailable || got.Message() != "unavailable" {
				return fmt.Errorf("%s: no server is healthy, and a call gets %v", n.Name, err)
			}
			return nil
		})
	}
}
