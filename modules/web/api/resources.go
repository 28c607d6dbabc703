package api

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"starling/admin"
	"starling/nginx/version"
	"starling/plan"
	"starling/zone"
)

// build is the program's build as the API names it. Clients look for "-rNUMBER" in it to tell what they may ask for.
const buildName = "starling-" + version.Starling + "-r1"

// timeLayout is ISO 8601 with milliseconds, as in the API of NGINX Plus.
const timeLayout = "2006-01-02T15:04:05.000Z"

// process is what the branches without a family of their own show.
type process struct {
	plan     *plan.Plan
	loadedAt time.Time
}

// ownResources are the branches that every configuration has. Those that NGINX Plus has and starling counts nothing for
// are empty, for clients ask for all of them and fail without one.
func ownResources(p *plan.Plan) []admin.Resource {
	s := &process{plan: p, loadedAt: time.Now()}
	return []admin.Resource{
		{Path: "nginx", Since: 1, Handle: getOnly(s.nginx), Metrics: nginxMetrics},
		{Path: "processes", Since: 1, Handle: resettable(func() any { return map[string]int{"respawned": 0} }, func() {})},
		{Path: "connections", Since: 1, Handle: resettable(func() any { return p.Connections.Figures() }, p.Connections.Reset), Metrics: connectionMetrics},
		{Path: "slabs", Since: 1, Collection: true, Handle: s.slabs, Metrics: slabMetrics},
		{Path: "http/requests", Since: 1, Handle: resettable(func() any { return s.requests() }, s.resetRequests), Metrics: requestMetrics},
		{Path: "http/server_zones", Since: 1, Collection: true, Handle: empty("ServerZoneNotFound", "server zone")},
		{Path: "http/location_zones", Since: 5, Collection: true, Handle: empty("LocationZoneNotFound", "location zone")},
		{Path: "http/caches", Since: 1, Collection: true, Handle: empty("CacheNotFound", "cache")},
		{Path: "ssl", Since: 1, Handle: resettable(s.tls, s.resetTLS), Metrics: tlsMetrics},
		{Path: "workers", Since: 9, Handle: s.workers},
		{Path: "license", Since: 9, Handle: getOnly(func(*admin.Call) any { return license() })},
	}
}

// getOnly serves a branch without tail that can only be read.
func getOnly(body func(*admin.Call) any) func(*admin.Call) admin.Answer {
	return func(call *admin.Call) admin.Answer {
		switch {
		case len(call.Tail) > 0:
			return admin.Answer{Err: pathNotFound()}
		case call.Method != http.MethodGet:
			return admin.Answer{Err: methodNotAllowed()}
		}
		return admin.Answer{Body: body(call)}
	}
}

// resettable serves a branch without tail whose counts DELETE sets to zero.
func resettable(body func() any, reset func()) func(*admin.Call) admin.Answer {
	return func(call *admin.Call) admin.Answer {
		if len(call.Tail) == 0 && call.Method == http.MethodDelete {
			reset()
			return admin.Answer{Status: http.StatusNoContent}
		}
		return getOnly(func(*admin.Call) any { return body() })(call)
	}
}

// empty serves a collection that starling never has anything in.
func empty(code, what string) func(*admin.Call) admin.Answer {
	return func(call *admin.Call) admin.Answer {
		switch {
		case len(call.Tail) > 0:
			return admin.Fail(http.StatusNotFound, code, what+" \""+call.Tail[0]+"\" not found")
		case call.Method != http.MethodGet:
			return admin.Answer{Err: methodNotAllowed()}
		}
		return admin.Answer{Body: struct{}{}}
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
		LoadTimestamp: s.loadedAt.UTC().Format(timeLayout), Timestamp: time.Now().UTC().Format(timeLayout),
		PID: os.Getpid(), PPID: os.Getppid(),
	}
}

type requests struct {
	Total   uint64 `json:"total"`
	Current int64  `json:"current"`
}

func (s *process) requests() requests {
	t := s.plan.Traffic()
	return requests{t.Requests.Load(), max(t.Current.Load(), 0)}
}

func (s *process) resetRequests() { s.plan.Traffic().Requests.Store(0) }

type handshakes struct {
	Handshakes       uint64 `json:"handshakes"`
	HandshakesFailed uint64 `json:"handshakes_failed"`
	SessionReuses    uint64 `json:"session_reuses"`
}

func (s *process) tls() any {
	t := s.plan.Traffic()
	return handshakes{t.Handshakes.Load(), t.HandshakesFailed.Load(), t.SessionReuses.Load()}
}

func (s *process) resetTLS() {
	t := s.plan.Traffic()
	t.Handshakes.Store(0)
	t.HandshakesFailed.Store(0)
	t.SessionReuses.Store(0)
}

// slab is the memory of a zone. Starling's zones have no size classes; the one slot stands for their records.
type slab struct {
	Pages struct {
		Used int64 `json:"used"`
		Free int64 `json:"free"`
	} `json:"pages"`
	Slots map[string]slot `json:"slots"`
}

type slot struct {
	Used  int64 `json:"used"`
	Free  int64 `json:"free"`
	Reqs  int64 `json:"reqs"`
	Fails int64 `json:"fails"`
}

const pageBytes = 4096

func newSlab(z *plan.Zone) slab {
	var out slab
	var used int64 = 1 // of zones that keep no account
	if counted, ok := z.Value.(interface{ Stats() zone.Stats }); ok {
		stats := counted.Stats()
		used = max((stats.RecordBytes+pageBytes-1)/pageBytes, 1) // tombstones give way, so what they take is free
		out.Slots = map[string]slot{"64": {Used: stats.Records, Reqs: stats.Records, Fails: stats.Refused}}
	} else {
		out.Slots = map[string]slot{"64": {}}
	}
	total := max(z.Bytes/pageBytes, used)
	out.Pages.Used, out.Pages.Free = used, total-used
	return out
}

func (s *process) slabs(call *admin.Call) admin.Answer {
	all := map[string]slab{}
	for _, z := range s.plan.Zones.All() {
		all[z.Name] = newSlab(z)
	}
	if len(call.Tail) == 0 {
		return getOnly(func(*admin.Call) any { return all })(call)
	}
	one, found := all[call.Tail[0]]
	switch {
	case len(call.Tail) > 1:
		return admin.Answer{Err: pathNotFound()}
	case !found:
		return admin.Fail(http.StatusNotFound, "SlabNotFound", "slab \""+call.Tail[0]+"\" not found")
	case call.Method == http.MethodDelete: // the counts here are what the zone holds, there is nothing to reset
		return admin.Answer{Status: http.StatusNoContent}
	case call.Method != http.MethodGet:
		return admin.Answer{Err: methodNotAllowed()}
	}
	return admin.Answer{Body: one}
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

func (s *process) workers(call *admin.Call) admin.Answer {
	if len(call.Tail) > 1 {
		return admin.Answer{Err: pathNotFound()}
	}
	if len(call.Tail) == 1 && call.Tail[0] != strconv.Itoa(0) {
		return admin.Fail(http.StatusNotFound, "WorkerNotFound", "worker \""+call.Tail[0]+"\" not found")
	}
	switch call.Method {
	case http.MethodDelete:
		s.plan.Connections.Reset()
		s.resetRequests()
		return admin.Answer{Status: http.StatusNoContent}
	case http.MethodGet:
	default:
		return admin.Answer{Err: methodNotAllowed()}
	}
	w := worker{PID: os.Getpid(), Connections: s.plan.Connections.Figures()}
	w.HTTP.Requests = s.requests()
	if len(call.Tail) == 1 {
		return admin.Answer{Body: w}
	}
	return admin.Answer{Body: []worker{w}}
}

// license says that none is needed.
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
