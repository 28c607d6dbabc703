package api

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"starling/admin"
	"starling/lib/usage"
	"starling/nginx/version"
	"starling/plan"
)

// build is the program's build as the API names it. Clients look for "-rNUMBER" in it to find out which features exist.
const buildName = "starling-" + version.Starling + "-r1"

// process is the data of the branches without a family of their own.
type process struct {
	plan     *plan.Plan
	loadedAt time.Time
}

// processBegan is when the process began. A reload keeps it.
type processBegan struct{ at time.Time }

// ownResources are the branches that every configuration has. Branches of NGINX Plus for which starling counts nothing
// are empty, because clients request all of them and fail without one.
func ownResources(p *plan.Plan) []admin.Resource {
	s := &process{plan: p, loadedAt: time.Now()}
	began := plan.Part[processBegan](p)
	if *began = *plan.Before[processBegan](p); began.at.IsZero() { // the first that has an http block
		began.at = s.loadedAt
	}
	return []admin.Resource{
		admin.Single{Path: "nginx", Since: 1, Get: s.nginx, Metrics: nginxMetrics}.Resource(),
		admin.Single{
			Path:  "processes",
			Since: 1,
			Get:   func(*admin.Call) any { return map[string]int{"respawned": 0} },
			Reset: func() {},
		}.Resource(),
		admin.Single{
			Path:    "processes/usage",
			Since:   9,
			Get:     func(*admin.Call) any { return usage.Read(began.at) },
			Metrics: usageMetrics(),
		}.Resource(),
		admin.Single{Path: "connections", Since: 1, Get: func(*admin.Call) any { return p.Connections.Figures() },
			Reset: p.Connections.Reset, Metrics: connectionMetrics}.Resource(),
		s.slabs(),
		admin.Single{
			Path:    "http/requests",
			Since:   1,
			Get:     func(*admin.Call) any { return s.requests() },
			Reset:   s.resetRequests,
			Metrics: requestMetrics,
		}.Resource(),
		admin.Single{
			Path:    "ssl",
			Since:   1,
			Get:     func(*admin.Call) any { return p.Traffic().Handshakes.Figures() },
			Reset:   p.Traffic().Handshakes.Reset,
			Metrics: tlsMetrics(),
		}.Resource(),
		s.workers(),
		admin.Single{
			Path: "license", Since: 9, Get: func(*admin.Call) any { return license() }, Metrics: licenseMetrics,
		}.Resource(),
	}
}

type nginx struct {
	Version       string `json:"version"`
	Build         string `json:"build"`
	Address       string `json:"address"`
	Generation    int    `json:"generation"`
	LoadTimestamp string `json:"load_timestamp"`
	Timestamp     string `json:"timestamp"`
	PID           int    `json:"pid"`
	PPID          int    `json:"ppid"`
}

func (s *process) nginx(call *admin.Call) any {
	return nginx{
		Version: version.Nginx, Build: buildName, Address: call.Address, Generation: s.plan.Generation,
		LoadTimestamp: admin.Timestamp(s.loadedAt), Timestamp: admin.Timestamp(time.Now()),
		PID: os.Getpid(), PPID: os.Getppid(),
	}
}

type requests struct {
	Total   uint64 `json:"total"`
	Current int64  `json:"current"`
}

func (s *process) requests() requests {
	f := s.plan.Traffic().Figures()
	return requests{f.Requests, f.Current}
}

func (s *process) resetRequests() { s.plan.Traffic().ResetRequests() }

func (s *process) slabs() admin.Resource {
	return admin.Collection[*plan.Zone]{
		Path: "slabs", Since: 1, Metrics: slabMetrics, Missing: admin.NotFound("SlabNotFound", "slab"),
		Each: func(yield func(string, *plan.Zone) bool) {
			for _, z := range s.plan.Zones.All() {
				if !yield(z.Name, z) {
					return
				}
			}
		},
		Show:   func(z *plan.Zone) any { return newSlab(z) },
		Delete: admin.Resets(func(*plan.Zone) {}), // the counts here are the zone's contents, there is nothing to reset
	}.Resource()
}

// worker is the one process, shown as the only worker.
type worker struct {
	ID          int                    `json:"id"`
	PID         int                    `json:"pid"`
	Connections plan.ConnectionFigures `json:"connections"`
	HTTP        struct {
		Requests requests `json:"requests"`
	} `json:"http"`
}

func (s *process) workers() admin.Resource {
	reset := func(*admin.Call) admin.Answer {
		s.plan.Connections.Reset()
		s.resetRequests()
		return admin.Answer{Status: http.StatusNoContent}
	}
	return admin.Collection[int]{
		Path: "workers", Since: 9, Metrics: workerMetrics(), Missing: admin.NotFound("WorkerNotFound", "worker"),
		Find:   func(id string) (int, bool) { return 0, id == strconv.Itoa(0) },
		All:    func(*admin.Call) admin.Answer { return admin.Answer{Body: []worker{s.worker()}} },
		Clear:  reset,
		Show:   func(int) any { return s.worker() },
		Delete: func(_ int, call *admin.Call) admin.Answer { return reset(call) },
	}.Resource()
}

func (s *process) worker() worker {
	w := worker{PID: os.Getpid(), Connections: s.plan.Connections.Figures()}
	w.HTTP.Requests = s.requests()
	return w
}

// license answers that none is needed.
func license() any {
	return struct {
		ActiveTill int64 `json:"active_till"`
		Eval       bool  `json:"eval"`
		Reporting  struct {
			Healthy bool  `json:"healthy"`
			Fails   int   `json:"fails"`
			Grace   int64 `json:"grace"`
		} `json:"reporting"`
	}{Reporting: struct {
		Healthy bool  `json:"healthy"`
		Fails   int   `json:"fails"`
		Grace   int64 `json:"grace"`
	}{Healthy: true}}
}
