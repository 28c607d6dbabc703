package pods

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"starling/lib/testkit"
)

// flags is the zone that tests write.
const flags = "/api/9/http/keyvals/flags"

// load writes pairs through whichever pods serve, and remembers the acknowledged ones.
type load struct {
	c    *cluster
	stop chan struct{}
	once sync.Once
	done chan struct{}

	// pause holds back the writes while it is locked.
	pause sync.Mutex

	mu           sync.Mutex
	acknowledged map[string]string
	failed       int
}

// begin writes until end, one pair after the other, in turn at all pods that are not terminating. A pod that does not
// answer is one whose node is lost: then nothing is acknowledged.
func (c *cluster) begin() *load {
	l := &load{c: c, stop: make(chan struct{}), done: make(chan struct{}), acknowledged: map[string]string{}}
	c.load = l
	go func() {
		defer close(l.done)
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			default:
			}
			l.write(i)
		}
	}()
	return l
}

func (l *load) write(i int) {
	l.pause.Lock()
	defer l.pause.Unlock()
	var serving []*pod
	for _, p := range l.c.all() {
		l.c.mu.Lock()
		terminating := p.terminating
		l.c.mu.Unlock()
		if !terminating && l.c.ready(p) == nil {
			serving = append(serving, p)
		}
	}
	if len(serving) == 0 {
		return
	}
	p := serving[i%len(serving)]
	key, value := fmt.Sprintf("key-%d", i), fmt.Sprintf("written at %s", p.name)
	r, err := forwarded(p, http.MethodPost, flags, fmt.Sprintf("{%q:%q}", key, value))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || r.status != http.StatusCreated {
		l.failed++
		return
	}
	l.acknowledged[key] = value
}

// halt stops writing.
func (l *load) halt() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

// count is how many writes were acknowledged.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// more waits until more writes have been acknowledged.
func (l *load) more(n int) {
	l.c.t.Helper()
	want := l.count() + n
	testkit.Eventually(l.c.t, patience, func() error {
		if got := l.count(); got < want {
			return fmt.Errorf("%d writes acknowledged, want %d", got, want)
		}
		return nil
	})
}

// end stops writing and wants all acknowledged pairs at all pods.
func (l *load) end() {
	l.c.t.Helper()
	l.halt()
	l.c.t.Logf("%d writes acknowledged, %d failed", len(l.acknowledged), l.failed)
	for _, p := range l.c.all() {
		testkit.Eventually(l.c.t, patience, func() error { return l.missing(p) })
	}
}

// missing reports acknowledged pairs that a pod does not have.
func (l *load) missing(p *pod) error {
	r, err := forwarded(p, http.MethodGet, flags, "")
	if err != nil {
		return err
	}
	pairs := map[string]string{}
	if err := json.Unmarshal([]byte(r.body), &pairs); err != nil {
		return fmt.Errorf("%w: %s", err, r.body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []string
	for key, value := range l.acknowledged {
		if pairs[key] != value {
			lost = append(lost, key+" "+value)
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("%s lacks %d of %d acknowledged writes: %.200s", p.name, len(lost), len(l.acknowledged), strings.Join(lost, ", "))
	}
	return nil
}

// view is what a pod says about the cluster.
type view struct {
	Ready   bool   `json:"ready"`
	Alone   bool   `json:"alone"`
	Warning string `json:"warning"`
	Agree   bool   `json:"nodes_agree"`
	Zones   map[string]struct {
		Total   int64 `json:"records_total"`
		Pending int64 `json:"records_pending"`
	} `json:"zones"`
	Members []struct {
		Address string `json:"address"`
		State   string `json:"state"`
		Error   string `json:"last_error"`
	} `json:"members"`
}

func (p *pod) view() (v view, err error) {
	r, err := forwarded(p, http.MethodGet, "/api/9/stream/zone_sync/cluster", "")
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		return v, errors.Join(err, errors.New(r.body))
	}
	return v, nil
}

// waitWhole holds back the writes and waits until every pod knows all others and itself by their addresses, nothing is
// pending, and all agree.
func (c *cluster) waitWhole() {
	c.t.Helper()
	if c.load != nil { // under writes something is always pending
		c.load.pause.Lock()
		defer c.load.pause.Unlock()
	}
	began := time.Now()
	pods := c.all()
	for _, p := range pods {
		testkit.Eventually(c.t, patience, func() error {
			v, err := p.view()
			if err != nil {
				return err
			}
			states := map[string]string{}
			for _, m := range v.Members {
				states[m.Address] = m.State
			}
			for _, other := range pods {
				want := "connected"
				if other == p {
					want = "self"
				}
				if states[other.ip+":9000"] != want {
					return fmt.Errorf("%s sees %s as %q: %+v", p.name, other.ip, states[other.ip+":9000"], v)
				}
			}
			if len(states) != len(pods) || !v.Ready || v.Alone || v.Warning != "" || !v.Agree || v.Zones["flags"].Pending != 0 {
				return fmt.Errorf("%s of %d pods: %+v", p.name, len(pods), v)
			}
			return nil
		})
	}
	c.t.Logf("%d pods are whole %v later", len(pods), time.Since(began).Round(time.Millisecond))
}
