package resolver

import (
	"sync/atomic"

	"github.com/miekg/dns"
)

const (
	kindName = iota
	kindSRV
	kindAddr
	kinds
)

const (
	responseNoError = iota
	responseFormErr
	responseServFail
	responseNXDomain
	responseNotImp
	responseRefused
	responseTimedOut
	responseUnknown
	responses
)

// Counters count the lookups of a resolver and the answers of the servers.
type Counters struct {
	requests  [kinds]atomic.Uint64
	responses [responses]atomic.Uint64
}

// Report is the counters as the API's /resolvers shows them.
type Report struct {
	Requests  RequestCounts  `json:"requests"`
	Responses ResponseCounts `json:"responses"`
}

// RequestCounts are the lookups by kind. Addr counts addresses resolved to names, which starling never does.
type RequestCounts struct {
	Name uint64 `json:"name"`
	SRV  uint64 `json:"srv"`
	Addr uint64 `json:"addr"`
}

// ResponseCounts are the answers of the servers by response code.
type ResponseCounts struct {
	NoError  uint64 `json:"noerror"`
	FormErr  uint64 `json:"formerr"`
	ServFail uint64 `json:"servfail"`
	NXDomain uint64 `json:"nxdomain"`
	NotImp   uint64 `json:"notimp"`
	Refused  uint64 `json:"refused"`
	TimedOut uint64 `json:"timedout"`
	Unknown  uint64 `json:"unknown"`
}

// Report reads the counters.
func (c *Counters) Report() Report {
	of := func(i int) uint64 { return c.responses[i].Load() }
	return Report{
		Requests: RequestCounts{
			Name: c.requests[kindName].Load(),
			SRV:  c.requests[kindSRV].Load(),
			Addr: c.requests[kindAddr].Load(),
		},
		Responses: ResponseCounts{
			NoError:  of(responseNoError),
			FormErr:  of(responseFormErr),
			ServFail: of(responseServFail),
			NXDomain: of(responseNXDomain),
			NotImp:   of(responseNotImp),
			Refused:  of(responseRefused),
			TimedOut: of(responseTimedOut),
			Unknown:  of(responseUnknown),
		},
	}
}

// Reset sets all counters to zero.
func (c *Counters) Reset() {
	for i := range c.requests {
		c.requests[i].Store(0)
	}
	for i := range c.responses {
		c.responses[i].Store(0)
	}
}

func (c *Counters) count(rcode int) {
	which := responseUnknown
	switch rcode {
	case dns.RcodeSuccess:
		which = responseNoError
	case dns.RcodeFormatError:
		which = responseFormErr
	case dns.RcodeServerFailure:
		which = responseServFail
	case dns.RcodeNameError:
		which = responseNXDomain
	case dns.RcodeNotImplemented:
		which = responseNotImp
	case dns.RcodeRefused:
		which = responseRefused
	}
	c.responses[which].Add(1)
}
